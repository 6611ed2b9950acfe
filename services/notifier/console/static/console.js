// Times in the reader's own zone, running clocks, and the light that says whether the page is live.
"use strict";
(() => {
  const local = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });
  const today = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "medium" });
  const names = JSON.parse(document.body.dataset.units);
  const units = [[86400, names.d], [3600, names.h], [60, names.min], [1, names.s]];
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

  function duration(seconds) {
    let rest = Math.max(0, Math.floor(seconds));
    const parts = [];
    for (const [size, unit] of units) {
      const number = Math.floor(rest / size);
      rest -= number * size;
      if (number || (parts.length && parts.length < 2)) parts.push(`${number} ${unit}`);
      if (parts.length === 2) break;
    }
    return parts.join(" ") || `0 ${names.s}`;
  }

  function tick() {
    const now = Date.now();
    for (const time of document.querySelectorAll("time[data-since]")) {
      time.textContent = duration((now - Date.parse(time.dateTime)) / 1000);
    }
    for (const time of document.querySelectorAll("time[data-until]")) {
      const left = (Date.parse(time.dateTime) - now) / 1000;
      // a breach is called within seconds of due: after a minute without one, the due of the warning is no longer the clock's
      time.textContent = left > 0 ? duration(left) : left > -60 ? time.dataset.until : time.dataset.moved;
    }
    for (const bar of document.querySelectorAll("progress[data-from]")) {
      const from = Number(bar.dataset.from);
      bar.value = Math.min(100, Math.max(0, ((now - from) * 100) / (Number(bar.dataset.to) - from)));
    }
  }

  function localise(root) {
    const day = new Date().toDateString();
    for (const time of root.querySelectorAll("time[data-local]")) {
      const date = new Date(time.dateTime);
      time.textContent = (date.toDateString() === day ? today : local).format(date);
    }
    for (const svg of root.querySelectorAll("svg[data-step]")) {
      axis(svg);
      const due = svg.querySelector("line.corner.due"), box = svg.parentElement; // on a phone, the due instant is in the middle
      box.scrollLeft = (due ? due.getAttribute("x1") / 1000 : 1) * box.scrollWidth - box.clientWidth / 2;
    }
    for (const field of root.querySelectorAll("input[data-zone]")) field.value = zone;
    for (const field of root.querySelectorAll("input[data-value]")) {
      if (field.dataset.value && !field.value) field.value = wall(new Date(field.dataset.value));
    }
    tick();
  }

  // the axis of a drawing: times of day, or dates where the ticks are days apart
  function axis(svg) {
    const days = Number(svg.dataset.step) >= 86400000;
    const span = days ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit" };
    const format = new Intl.DateTimeFormat(document.documentElement.lang, { ...span, ...(Number(svg.dataset.step) < 60000 ? { second: "2-digit" } : {}) });
    for (const text of svg.querySelectorAll("text[data-at]")) text.textContent = format.format(new Date(Number(text.dataset.at)));
  }

  function wall(date) {
    return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  }

  localise(document);
  setInterval(tick, 1000);
  document.body.addEventListener("htmx:afterSwap", (event) => localise(event.target));
  document.body.addEventListener("htmx:sseOpen", () => { document.body.dataset.live = "on"; });
  document.body.addEventListener("htmx:sseError", () => { document.body.dataset.live = "off"; });
})();
