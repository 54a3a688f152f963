// The waiting page, alive: brought up to date from each answer. It never claims by itself.
// The server has rendered every face with its words; this shows and hides them, so that no sentence lives here.

import { Alerts } from "./alerts.js";
import { follow } from "./poll.js";
import { sendInPlace } from "./sending.js";
import { number, serverNow, showMoments, tick, timeLeft } from "./site.js";
import { icon, say, sentence } from "./telling.js";

const line = document.getElementById("line");
const headline = document.getElementById("headline");
const ENDED = new Set(["done", "left", "lapsed", "closed"]);
const STANDSTILLS = new Set(["paused", "rebuilding", "provider_down"]);
const MAY_COME = new Set(["lobby", "waiting", "paused", "rebuilding", "provider_down", "all_held", "missed"]);
const TONES = { called: "turn", admitted: "in", done: "in", missed: "wait", paused: "wait", rebuilding: "wait", provider_down: "wait", all_held: "wait", unbought: "rest", left: "rest", lapsed: "rest", sold_out: "rest", closed: "rest" };
const STEPS = { called: 2, missed: 2, admitted: 3, done: 5 };
const MILESTONES = [1000, 500, 200, 100, 50, 20, 10, 5, 3, 2, 1, 0];
// The server refuses one ticket that is asked about more than 8 times in 10 s; one page alone stays well below that.
const SHORTEST_WAIT_MS = 1_500;
const LONGEST_WAIT_MS = Number(line.dataset.ceiling) || 30_000;

let face = line.dataset.face;
let place = { state: line.dataset.state };
let unreached = null; // why there is no connection: "offline" or "busy"
let said = null; // the last milestone that was announced
let start = Number(line.dataset.start) || 0;
let done = Number(line.querySelector("progress").value);

const all = (selector) => line.querySelectorAll(selector);
const alerts = new Alerts({ body: line.dataset.title, sale: line.dataset.sale, icon: line.dataset.iconCalled });

const chain = follow(line.dataset.poll, {
  taken(body) {
    show(body);
    return ENDED.has(body.state) ? null : body.poll_after_ms;
  },
  lost: connection,
  // No place under this session any more: the server's page says what to do. Not in a circle, should page and answer differ.
  gone: () => setTimeout(() => location.reload(), Math.max(0, 5_000 - performance.now())),
  first: ENDED.has(place.state) ? Infinity : Number(line.dataset.pollAfter) || 2_000,
  shortest: SHORTEST_WAIT_MS,
  longest: LONGEST_WAIT_MS,
  // Nobody looks and no alert is wanted: as seldom as a called buyer may be unseen.
  unseen: () => (alerts.wanted ? SHORTEST_WAIT_MS : LONGEST_WAIT_MS),
  steady: true,
});

sendInPlace(line, { taken: () => (ENDED.has(place.state) ? location.reload() : chain.ask()), lost: connection });

function connection(why) {
  if (why === unreached) return;
  unreached = why;
  for (const id of ["offline", "busy"]) document.getElementById(id).hidden = id !== why;
  if (why) say(document.getElementById(why).textContent);
  showIcon();
}

// ------------------------------------------------------------ showing

function show(body) {
  place = body;
  const next = faceOf(body);
  const changed = next !== face;
  if (changed) enter(next);
  for (const key of ["number", "position", "ahead", "waiting"]) fill(key, body[key]);
  showPosition(body);
  showEstimate(body.estimate);
  choose("outlook", body.stock_outlook);
  until("turn_expires_at", body.turn_expires_at);
  until("be_back_by", body.be_back_by);
  moment("be_back_by", body.be_back_by);
  document.getElementById("be-back").hidden = !body.be_back_by || face === "called";
  document.getElementById("extend").hidden = Boolean(body.extended);
  showMessage(body.message);
  showMoments(line);
  tick();
  title();
  if (changed) arrive();
  else milestone(body);
}

/** The face that a place wears; `gateway/pages/words/line.py` says the same on the server. */
function faceOf({ state, estimate, outcome }) {
  if (state === "done" && outcome === "ended") return "unbought";
  const reason = estimate?.reason?.code;
  return state === "waiting" && STANDSTILLS.has(reason) ? reason : state;
}

function enter(next) {
  face = next;
  line.dataset.face = next;
  line.dataset.state = place.state;
  const held = document.activeElement;
  for (const element of all("[data-faces]")) element.hidden = !element.dataset.faces.split(" ").includes(next);
  line.querySelector(".ticket").dataset.tone = TONES[next] ?? "";
  const step = STEPS[next] ?? 1;
  all(".way li").forEach((item, at) => {
    item.classList.toggle("past", at + 1 < step);
    if (at + 1 === step) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
  offerAlerts();
  // The turn is read first, and so is what replaced a thing that had the focus; whoever is in the middle of another is left alone.
  if (held === document.body ? next === "called" : line.contains(held) && held.closest("[hidden]")) headline.focus();
}

/** There is something to tell only while a turn may come. */
function offerAlerts() {
  document.getElementById("alerts").hidden = !MAY_COME.has(face);
}

function fill(key, value) {
  for (const element of all(`[data-fill="${key}"]`)) element.textContent = typeof value === "number" ? number(value) : "–";
  for (const element of all(`[data-known="${key}"]`)) element.hidden = typeof value !== "number";
}

/** The way so far, which never goes back: who came later stands behind, and who came back to a missed turn passes soon. */
function showPosition({ ahead }) {
  const known = typeof ahead === "number";
  for (const element of all("[data-position]")) element.hidden = !known;
  for (const element of all("[data-no-position]")) element.hidden = known;
  if (!known) return;
  start = Math.max(start, ahead);
  done = Math.max(done, start ? (100 * (start - ahead)) / start : 100);
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
  document.getElementById("estimated").hidden = estimate?.low_s == null;
  choose("reason", estimate?.reason?.code);
  moment("reason_at", estimate?.reason?.at);
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

// ------------------------------------------------------------ telling

function title() {
  const left = place.turn_expires_at ? timeLeft(Date.parse(place.turn_expires_at) - serverNow()) : "";
  const known = typeof place.ahead === "number";
  const key = ["waiting", "paused", "provider_down"].includes(face) && !known ? "title-lobby" : `title-${face}`;
  const words = sentence(key).replace("{ahead}", known ? number(place.ahead) : "").replace("{left}", left);
  document.title = `${words} · ${line.dataset.title}`;
  showIcon();
}

function showIcon() {
  const name = { called: "called", missed: "called", admitted: "admitted", done: "admitted" }[face] ?? (TONES[face] === "rest" ? "ended" : "");
  icon(line.dataset, unreached ? "offline" : name, name === "" && face !== "lobby" ? place.ahead : null, done);
}

function arrive() {
  const words = sentence(`state-${face}`);
  if (face !== "called") {
    say(words);
    return;
  }
  if (document.activeElement !== headline) document.getElementById("called-out").textContent = words;
  alerts.turn(words);
}

function milestone({ ahead }) {
  if (face !== "waiting" || typeof ahead !== "number") return;
  const reached = MILESTONES.filter((mark) => ahead <= mark).pop();
  if (reached === undefined) return;
  if (said !== null && reached < said) say(sentence("ahead").replace("{ahead}", number(ahead)));
  said = reached;
}

document.getElementById("by-hand").hidden = true;
offerAlerts();
showIcon();
setInterval(() => face === "called" && place.turn_expires_at && title(), 1_000);
