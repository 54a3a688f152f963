// The waiting page, alive: one chain of polls that obeys the server, and the page brought up to date from each answer.
// The server has rendered every state with its words; this shows and hides them, so that no sentence lives here.

import { number, serverNow, setClock, showMoments, tick, timeLeft } from "./site.js";

const line = document.getElementById("line");
const ENDED = new Set(["done", "left", "lapsed", "closed"]);
const TONES = { called: "turn", admitted: "in", done: "in", missed: "wait", all_held: "wait", left: "rest", lapsed: "rest", sold_out: "rest", closed: "rest" };
const STEPS = { called: 2, missed: 2, admitted: 3, done: 5 };
const MILESTONES = [1000, 500, 200, 100, 50, 20, 10, 5, 3, 2, 1, 0];
// The server refuses one ticket that is asked about more than 8 times in 10 s; one page alone stays well below that.
const SHORTEST_WAIT_MS = 1500;
const LONGEST_WAIT_MS = Number(line.dataset.ceiling) || 30000;

let state = line.dataset.state;
let place = { state };
let said = null; // the last milestone that was announced
let start = Number(line.dataset.start) || 0;
let timer = 0;
let asking = false;
let failures = 0;
let lastAsked = 0;

const sentence = (key) => document.querySelector(`[data-say="${key}"]`)?.textContent ?? "";
const all = (selector) => line.querySelectorAll(selector);

// ------------------------------------------------------------ asking

function schedule(ms) {
  clearTimeout(timer);
  // Unseen and with no alert wanted, the page only keeps its title and its turn: as seldom as the server allows.
  const least = document.hidden && !alerts.wanted() ? LONGEST_WAIT_MS : SHORTEST_WAIT_MS;
  timer = setTimeout(ask, Math.max(ms, least - (Date.now() - lastAsked)));
}

async function ask() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  lastAsked = Date.now();
  let next;
  try {
    const answer = await fetch(line.dataset.poll, {
      headers: { Accept: "application/json" },
      cache: "no-store",
      credentials: "same-origin",
      signal: AbortSignal.timeout(15000),
    });
    next = await taken(answer);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    next = unreachable("offline");
  } finally {
    asking = false;
  }
  if (next !== null) schedule(next);
}

async function taken(answer) {
  if (answer.ok) {
    const body = await answer.json();
    setClock(body.as_of, Date.now() - lastAsked);
    failures = 0;
    connection(null);
    show(body);
    return ENDED.has(body.state) ? null : body.poll_after_ms;
  }
  const after = Number(answer.headers.get("Retry-After")) * 1000 || 2000;
  if (answer.status === 429) return after + Math.random() * 1000; // another tab asks for the same place; nothing is wrong
  if (answer.status === 401 || answer.status === 404) {
    location.reload(); // no place under this session any more: the server's page says what to do
    return null;
  }
  return Math.max(after, unreachable("busy"));
}

/** Say that the place is kept, and how many ms to wait before the next try. */
function unreachable(why) {
  failures += 1;
  if (failures > 1 || !navigator.onLine) connection(why);
  return Math.min(LONGEST_WAIT_MS, 1000 * 2 ** Math.min(failures, 5)) * (0.75 + Math.random() / 2);
}

function connection(why) {
  for (const id of ["offline", "busy"]) document.getElementById(id).hidden = id !== why;
  icon(why ? "offline" : iconOf(state));
}

function askSoon() {
  if (document.hidden || ENDED.has(state)) return;
  const since = Date.now() - lastAsked;
  if (since < SHORTEST_WAIT_MS) schedule(0);
  else ask();
}

document.addEventListener("visibilitychange", askSoon);
window.addEventListener("online", askSoon);
window.addEventListener("offline", () => connection("offline"));
window.addEventListener("pageshow", (event) => event.persisted && askSoon());

// A form that cannot be sent would show the browser's own error page instead of the place.
line.addEventListener("submit", (event) => {
  if (navigator.onLine) return;
  event.preventDefault();
  connection("offline");
});

// ------------------------------------------------------------ showing

function show(body) {
  place = body;
  const changed = body.state !== state;
  if (changed) enter(body.state);
  for (const key of ["number", "position", "ahead", "waiting"]) fill(key, body[key]);
  showPosition(body);
  showEstimate(body.estimate);
  choose("outlook", body.stock_outlook);
  until("turn_expires_at", body.turn_expires_at);
  until("be_back_by", body.be_back_by);
  moment("be_back_by", body.be_back_by);
  document.getElementById("be-back").hidden = !body.be_back_by;
  document.getElementById("extend").hidden = Boolean(body.extended);
  showMessage(body.message);
  showMoments(line);
  tick();
  title();
  if (changed) arrive();
  else milestone(body);
}

function enter(next) {
  const held = document.activeElement;
  state = next;
  line.dataset.state = next;
  for (const element of all("[data-states]")) element.hidden = !element.dataset.states.split(" ").includes(next);
  line.querySelector(".ticket").dataset.tone = TONES[next] ?? "";
  const step = STEPS[next] ?? 1;
  all(".way li").forEach((item, at) => {
    item.classList.toggle("past", at + 1 < step);
    if (at + 1 === step) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
  alerts.offer();
  // What had the focus may be gone now; the headline says what is new.
  if (held instanceof HTMLElement && line.contains(held) && held.closest("[hidden]")) document.getElementById("headline").focus();
}

function fill(key, value) {
  for (const element of all(`[data-fill="${key}"]`)) {
    element.textContent = typeof value === "number" ? number(value) : "–";
  }
}

function showPosition({ ahead }) {
  const known = typeof ahead === "number";
  for (const element of all("[data-position]")) element.hidden = !known;
  for (const element of all("[data-no-position]")) element.hidden = known;
  if (!known) return;
  start = Math.max(start, ahead);
  const done = start ? (100 * (start - ahead)) / start : 100;
  line.querySelector("progress").value = done;
  const x = 2 + done * 0.9;
  line.querySelector(".you").setAttribute("cx", `${x}%`);
  for (const bead of all(".bead")) bead.classList.toggle("gone", parseFloat(bead.getAttribute("cx")) < x);
}

/** The range in the reader's words; `gateway/pages/words/figures.py` says the same on the server. */
function range(estimate, words) {
  if (!estimate || estimate.low_s == null || estimate.high_s == null) return words.none;
  const { low_s: low, high_s: high } = estimate;
  if (high <= 60) return words.under;
  const [unit, form] = high > 7200 ? [3600, words.hours] : [60, words.minutes];
  const [least, most] = [Math.floor(low / unit), Math.ceil(high / unit)];
  if (!least) return words.upto.replace("{n}", number(most));
  if (unit === 60 && least === most) return words.minute.replace("{n}", number(most));
  return form.replace("{low}", number(least)).replace("{high}", number(most));
}

function showEstimate(estimate) {
  const element = document.getElementById("estimate");
  element.textContent = range(estimate, element.dataset);
  const reason = estimate?.reason;
  choose("reason", reason?.code);
  moment("reason_at", reason?.at);
  for (const span of all("[data-reason-at]")) span.hidden = !reason;
}

function showMessage(message) {
  const words = message?.[document.documentElement.lang] ?? "";
  const box = document.getElementById("message");
  const text = box.querySelector("[data-fill]");
  if (words && text.textContent !== words) say(words);
  text.textContent = words;
  box.hidden = !words;
}

function choose(group, value) {
  for (const element of all(`[data-${group}]`)) element.hidden = element.dataset[group] !== value;
}

function until(key, iso) {
  if (iso) for (const element of all(`[data-fill-to="${key}"]`)) element.dataset.countdown = iso;
}

function moment(key, iso) {
  for (const element of all(`time[data-fill="${key}"]`)) if (iso) element.dateTime = iso;
}

function title() {
  const left = place.turn_expires_at ? timeLeft(Date.parse(place.turn_expires_at) - serverNow()) : "";
  const key = state === "waiting" && typeof place.ahead !== "number" ? "title-lobby" : `title-${state}`;
  const words = sentence(key).replace("{ahead}", typeof place.ahead === "number" ? number(place.ahead) : "").replace("{left}", left);
  document.title = `${words} · ${line.dataset.title}`;
}

const iconOf = (of) => ({ called: "called", missed: "called", admitted: "admitted", done: "admitted" })[of] ?? (TONES[of] === "rest" ? "ended" : "");

function icon(name) {
  const link = document.querySelector("link[rel=icon]");
  const href = line.dataset[name ? `icon${name[0].toUpperCase()}${name.slice(1)}` : "icon"];
  if (link.getAttribute("href") !== href) link.setAttribute("href", href);
}

// ------------------------------------------------------------ telling

function say(words) {
  if (!document.hidden) document.getElementById("said").textContent = words;
}

function arrive() {
  icon(iconOf(state));
  const words = sentence(`state-${state}`);
  if (state === "called") {
    document.getElementById("called-out").textContent = words;
    alerts.turn(words);
  } else say(words);
}

function milestone({ ahead }) {
  if (state !== "waiting" || typeof ahead !== "number") return;
  const reached = MILESTONES.filter((mark) => ahead <= mark).pop();
  if (reached === undefined) return;
  if (said !== null && reached < said) say(sentence("ahead").replace("{ahead}", number(ahead)));
  said = reached;
}

// Nothing of this happens unless the buyer has asked for it here.
const alerts = {
  sound: document.getElementById("alert-sound"),
  notice: document.getElementById("alert-notice"),
  audio: null,
  wanted() {
    return this.sound.checked || this.notice.checked;
  },
  begin() {
    this.offer();
    if (!("Notification" in window)) document.getElementById("alert-notice-label").hidden = true;
    this.sound.checked = remembered("sound");
    this.notice.checked = remembered("notice") && window.Notification?.permission === "granted";
    this.sound.addEventListener("change", () => {
      remember("sound", this.sound.checked);
      if (this.sound.checked) this.chime(1);
    });
    this.notice.addEventListener("change", () => this.askPermission());
  },
  /** There is something to tell only while a turn may come. */
  offer() {
    document.getElementById("alerts").hidden = !["lobby", "waiting", "all_held", "missed"].includes(state);
  },
  async askPermission() {
    if (this.notice.checked && (await Notification.requestPermission()) !== "granted") {
      this.notice.checked = false;
      document.getElementById("alert-denied").hidden = false;
    }
    remember("notice", this.notice.checked);
  },
  turn(words) {
    if (this.sound.checked) this.chime(3);
    if (!this.notice.checked) return;
    const notice = new Notification(words, { body: line.dataset.title, tag: `firstcome-${line.dataset.sale}`, icon: line.dataset.iconCalled });
    notice.addEventListener("click", () => {
      window.focus();
      notice.close();
    });
  },
  chime(times) {
    this.audio ??= new AudioContext();
    this.audio.resume();
    for (let at = 0; at < times * 2; at += 1) {
      const [tone, loud] = [this.audio.createOscillator(), this.audio.createGain()];
      const when = this.audio.currentTime + Math.floor(at / 2) * 0.9 + (at % 2) * 0.18;
      tone.frequency.value = at % 2 ? 880 : 659.25;
      loud.gain.setValueAtTime(0.0001, when);
      loud.gain.exponentialRampToValueAtTime(0.25, when + 0.02);
      loud.gain.exponentialRampToValueAtTime(0.0001, when + 0.5);
      tone.connect(loud).connect(this.audio.destination);
      tone.start(when);
      tone.stop(when + 0.55);
    }
  },
};

function remembered(key) {
  try {
    return localStorage.getItem(`firstcome-${key}`) === "yes";
  } catch (error) {
    if (error instanceof DOMException) return false; // storage is forbidden here; the choice lasts as long as the page
    throw error;
  }
}

function remember(key, yes) {
  try {
    localStorage.setItem(`firstcome-${key}`, yes ? "yes" : "no");
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

alerts.begin();
icon(iconOf(state));
setInterval(() => state === "called" && place.turn_expires_at && title(), 1000);
if (!ENDED.has(state)) schedule(Number(line.dataset.pollAfter) || 2000);
