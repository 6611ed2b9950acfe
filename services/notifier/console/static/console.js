// Times in the reader's own zone, running clocks, and the light that says whether the page is live.
"use strict";
(() => {
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const today = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

  function duration(seconds) {
    let rest = Math.max(0, Math.floor(seconds));
    const parts = [];
    for (const [size, unit] of units) {
      const number = Math.floor(rest / size);
      rest -= number * size;
      if (number || (parts.length && parts.length < 2)) parts.push(`${number} ${unit}`);
      if (parts.length === 2) break;
    }
    return parts.join(" ") || "0 s";
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
    tick();
  }

  localise(document);
  setInterval(tick, 1000);
  document.body.addEventListener("htmx:afterSwap", (event) => localise(event.target));
  document.body.addEventListener("htmx:sseOpen", () => { document.body.dataset.live = "on"; });
  document.body.addEventListener("htmx:sseError", () => { document.body.dataset.live = "off"; });
})();
