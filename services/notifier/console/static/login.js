// Signs in from a link: /login#<token>. A fragment never leaves the browser, and is taken out of the address at once.
"use strict";
const form = document.getElementById("login");
const token = decodeURIComponent(location.hash.slice(1));
if (token) {
  history.replaceState(null, "", location.pathname + location.search);
  document.getElementById("token").value = token;
  form.submit();
} else {
  // a link from a mail comes without our Strict cookie although somebody is signed in; our own fetch brings it
  fetch("/session").then((answer) => {
    if (answer.status === 204) location.replace(form.elements.to.value);
  });
}
