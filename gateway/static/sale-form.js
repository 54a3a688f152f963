// The form of a sale: times are meant in the operator's own zone, and each says what it is in UTC. Only improves what is there.

const zone = document.getElementById("zone");
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;

// The browser's own zone can always be chosen, and a new sale begins with it.
if (own && zone) {
  if (![...zone.options].some(({ value }) => value === own)) zone.add(new Option(own, own));
  if (zone.dataset.own !== undefined) zone.value = own;
}

/** Milliseconds by which a zone is ahead of UTC at a moment. */
function offset(at, name) {
  const parts = new Intl.DateTimeFormat("en", { timeZone: name, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" });
  const { year, month, day, hour, minute, second } = Object.fromEntries(parts.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(year, month - 1, day, hour, minute, second) - at;
}

/** The moment that a wall clock in a zone shows as `text`; NaN for no time. */
function meant(text, name) {
  const wall = Date.parse(`${text}:00Z`);
  if (!Number.isFinite(wall)) return NaN;
  const guess = wall - offset(wall, name);
  return wall - offset(guess, name);
}

function tell() {
  for (const line of document.querySelectorAll("[data-utc]")) {
    const at = meant(document.getElementById(line.dataset.utc).value, zone.value);
    line.textContent = Number.isFinite(at) ? `${line.dataset.word} ${new Date(at).toISOString().slice(0, 16).replace("T", " ")}` : "";
  }
}

if (zone) {
  document.getElementById("sale-form").addEventListener("input", tell);
  tell();
}
