// A mail's link carries the address and the code in its #fragment, which no server ever sees. Put them into the form.

const given = new URLSearchParams(location.hash.slice(1));
const form = document.getElementById("code-form");
if (form && given.get("code")) {
  for (const name of ["email", "code"]) {
    const field = form.elements.namedItem(name);
    if (field && given.get(name)) field.value = given.get(name);
  }
  history.replaceState(null, "", location.pathname + location.search);
  (form.elements.namedItem("password") ?? form.querySelector("[type=submit]")).focus();
}
