// Signs in from a link: /login#<token>. A fragment never leaves the browser, and is taken out of the address at once.
"use strict";
const form = document.getElementById("login");

function signIn() {
  const token = decodeURIComponent(location.hash.slice(1));
  if (!token) return false;
  history.replaceState(null, "", location.pathname + location.search);
  form.elements.token.value = token;
  form.submit();
  return true;
}

window.addEventListener("hashchange", signIn);
if (!signIn()) {
  // a link from a mail comes without our Strict cookie although somebody is signed in; our own fetch brings it
  fetch("/session").then((answer) => {
    if (answer.status === 204) location.replace(form.elements.to.value);
  });
}
