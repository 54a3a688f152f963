// What every page shares: times in the reader's zone, countdowns on the server's clock, pages that try again by themselves.
// Knows nothing of lines or orders. Everything here only improves what the server has already written.

const root = document.documentElement;
export const language = root.lang || "en";
const numbers = new Intl.NumberFormat(language);
const styles = {
  time: new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" }),
  seconds: new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit", second: "2-digit" }),
  datetime: new Intl.DateTimeFormat(language, { month: "short", day: "numeric", weekday: "short", hour: "numeric", minute: "2-digit" }),
  stamp: new Intl.DateTimeFormat(language, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit" }),
  days: new Intl.NumberFormat(language, { style: "unit", unit: "day", unitDisplay: "long" }),
};

// The server's clock less the time since this page began, in ms. The reader's clock may be wrong, and may be set meanwhile.
let began = Number(root.dataset.now);

export const serverNow = () => began + performance.now();

/** Set the clock by an answer: `iso` is when the server wrote it, `tookMs` how long the question was under way. */
export function setClock(iso, tookMs = 0) {
  const at = Date.parse(iso);
  if (Number.isFinite(at)) began = at + tookMs / 2 - performance.now();
}

export const number = (value) => numbers.format(value);

/** Write moments in the reader's own zone. */
export function showMoments(within = document) {
  for (const element of within.querySelectorAll("time[data-moment]")) {
    const at = Date.parse(element.dateTime);
    if (Number.isFinite(at)) element.textContent = styles[element.dataset.moment].format(at);
  }
}

/** "1:58", "1:02:03", "2 days 1:02:03"; never below 0:00. `gateway/pages/words/figures.py` says the same on the server. */
export function timeLeft(ms) {
  const all = Math.max(0, Math.ceil(ms / 1000));
  const two = (value) => String(value).padStart(2, "0");
  const [days, hours, minutes, seconds] = [Math.floor(all / 86_400), Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60, all % 60];
  const clock = days || hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
  return days ? `${styles.days.format(days)} ${clock}` : clock;
}

/** Bring every countdown on the page up to date. */
export function tick() {
  for (const element of document.querySelectorAll("[data-countdown]")) {
    const to = Date.parse(element.dataset.countdown);
    if (!Number.isFinite(to)) continue;
    const text = timeLeft(to - serverNow());
    if (element.textContent !== text) element.textContent = text;
  }
}

let beat = 0;
function beatWhileSeen() {
  clearInterval(beat);
  if (document.hidden) return;
  tick();
  beat = setInterval(tick, 500);
}

showMoments();
document.addEventListener("visibilitychange", beatWhileSeen);
beatWhileSeen();

// A page that says "not now" asks again, a little apart from everybody else's.
const later = document.querySelector("[data-retry]");
if (later && later.dataset.repeat !== undefined) {
  setTimeout(() => location.reload(), Number(later.dataset.retry) * 1000 * (1 + Math.random()));
}

// After a form that was refused, what is wrong is read first.
document.getElementById("problem")?.focus();
