// The operator's live page: figures as they come, one chart, and fresh buttons when the state of the sale has changed.
// Every action is an ordinary form; nothing here is needed to act.

import { language, number, setClock, showMoments, timeLeft } from "./site.js";

const watch = document.getElementById("watch");
const AGAIN_MS = 2000;
const SILENT_MS = 6000;
const HEIGHT = 240;
const KEPT = 1800; // samples of the line's length
const storage = `firstcome-samples-${watch.dataset.figures}`;
const percent = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });

let samples = remembered();
let calls = [];
let stream = null;
let timer = 0;
let heard = Date.now();
let chart = null;

// ------------------------------------------------------------ hearing

/** A stream of figures. Where none is to be had, the figures are asked for one by one, and the stream again a little later. */
function listen() {
  stop();
  if (document.hidden) return;
  stream = new EventSource(watch.dataset.figures);
  stream.onmessage = ({ data }) => take(JSON.parse(data), 0);
  stream.onerror = () => {
    if (stream?.readyState === EventSource.CLOSED) ask(); // refused: too many watch, or the session has ended
  };
}

function stop() {
  clearTimeout(timer);
  stream?.close();
  stream = null;
}

async function ask() {
  stop();
  const began = Date.now();
  try {
    const answer = await fetch(watch.dataset.figures, { headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(8000) });
    if (answer.status === 401) return location.reload();
    if (answer.ok) take(await answer.json(), Date.now() - began);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
  }
  timer = setTimeout(listen, AGAIN_MS);
}

function take(figures, tookMs) {
  heard = Date.now();
  setClock(figures.as_of, tookMs);
  show(figures);
}

setInterval(() => {
  if (!document.hidden) document.getElementById("lost").hidden = Date.now() - heard < SILENT_MS;
}, 1000);

// ------------------------------------------------------------ showing

const valueAt = (figures, path) => path.split(".").reduce((at, key) => at?.[key], figures);

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(figures) {
  const { line, leader, phase } = figures;
  const sum = (key) => figures.stock.reduce((all, item) => all + item[key], 0);
  figures.units = { allotted: sum("allotted"), sold: sum("sold"), free: sum("allotted") - sum("held") - sum("sold") };
  figures.slots = line.called + line.shopping + line.ordering;
  figures.payments = { calls: 0, failed: 0 };
  for (const { calls: made, failed } of figures.providers) {
    figures.payments.calls += made;
    figures.payments.failed += failed;
  }
  for (const element of watch.querySelectorAll("[data-fill]")) {
    const path = element.dataset.fill;
    const value = valueAt(figures, path);
    if (element instanceof HTMLTimeElement) element.dateTime = value ?? "";
    else write(element, typeof value === "number" ? number(value) : path.startsWith("orders.") ? number(0) : "–");
  }
  for (const element of watch.querySelectorAll("[data-text]")) write(element, valueAt(figures, element.dataset.text) ?? "–");
  for (const element of watch.querySelectorAll("[data-seconds]")) {
    const value = valueAt(figures, element.dataset.seconds);
    write(element, typeof value === "number" ? (value / 1000).toFixed(1) : "–");
  }
  for (const element of watch.querySelectorAll("[data-clock]")) {
    const value = valueAt(figures, element.dataset.clock);
    write(element, typeof value === "number" ? timeLeft(1000 * value) : "–");
  }
  for (const [state, count] of Object.entries(figures.orders)) {
    const row = watch.querySelector(`[data-order-state="${state}"]`);
    if (row && count) row.hidden = false;
  }
  for (const element of watch.querySelectorAll("[data-limit]")) element.hidden = element.dataset.limit !== figures.limit;
  document.getElementById("limit-since").hidden = !figures.limit_since;
  write(document.getElementById("share"), line.turns_ended ? percent.format(line.no_shows / line.turns_ended) : "");
  document.getElementById("leaderless").hidden = figures.leading || !["open", "all_held", "draining"].includes(phase);
  document.getElementById("workless").hidden = !figures.work || figures.work.lanes > 0;
  document.getElementById("unpaid").hidden = figures.limit !== "provider_down" && !figures.providers.some(({ down }) => down);
  document.getElementById("recovering").hidden = !figures.recovery;
  figures.stock.forEach(showStock);
  sample(figures);
  showMinutes(figures.calls);
  showMoments(watch);
  const { dataset } = watch;
  if (figures.control !== dataset.control || phase !== dataset.phase || String(figures.version) !== dataset.version) renew();
}

function showStock({ product_id, allotted, held, sold }) {
  const row = watch.querySelector(`[data-product="${CSS.escape(product_id)}"]`);
  if (!row) return;
  const put = (key, value) => write(row.querySelector(`[data-stock="${key}"]`), number(value));
  put("allotted", allotted);
  put("held", held);
  put("sold", sold);
  put("free", allotted - held - sold);
  const share = (value) => (allotted ? (100 * value) / allotted : 0);
  row.querySelector(".sold").setAttribute("width", `${share(sold)}%`);
  row.querySelector(".held").setAttribute("x", `${share(sold)}%`);
  row.querySelector(".held").setAttribute("width", `${share(held)}%`);
}

// ------------------------------------------------------------ fresh buttons

const isBusy = (part) => part.contains(document.activeElement) || part.querySelector("details[open]");
let renewing = false;
let renewed = 0;

/** State and buttons follow the sale: the page is fetched anew, and its parts change where nobody is typing or about to press. */
async function renew() {
  if (renewing || Date.now() - renewed < AGAIN_MS) return;
  renewing = true;
  renewed = Date.now();
  try {
    const answer = await fetch(watch.dataset.page, { headers: { Accept: "text/html" }, cache: "no-store", signal: AbortSignal.timeout(8000) });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = fresh.getElementById("watch");
    if (!now) return;
    const parts = [...watch.querySelectorAll("[data-part]")];
    if (parts.some(isBusy)) {
      renewed = Date.now() + AGAIN_MS; // what is typed stays; a little later it is tried again
      parts.filter((part) => !isBusy(part)).forEach((part) => put(part, fresh));
      return;
    }
    parts.forEach((part) => put(part, fresh));
    if (now.dataset.phase !== watch.dataset.phase) write(document.getElementById("said"), watch.querySelector("#state .word").textContent);
    Object.assign(watch.dataset, now.dataset);
    showMoments(watch);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
  } finally {
    renewing = false;
  }
}

function put(part, fresh) {
  const newer = fresh.getElementById(part.id);
  if (newer && newer.innerHTML !== part.innerHTML) part.replaceWith(document.adoptNode(newer));
}

// ------------------------------------------------------------ the chart

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(storage) ?? "[]");
  } catch (error) {
    if (error instanceof DOMException || error instanceof SyntaxError) return [];
    throw error;
  }
}

function sample(figures) {
  const at = Math.round(Date.parse(figures.as_of) / 1000);
  const last = samples.at(-1);
  if (last && Math.floor(last[0] / 2) === Math.floor(at / 2)) samples.pop(); // one for every two seconds
  samples.push([at, figures.line.waiting]);
  samples = samples.slice(-KEPT);
  calls = figures.calls;
  try {
    sessionStorage.setItem(storage, JSON.stringify(samples));
  } catch (error) {
    if (!(error instanceof DOMException)) throw error; // full or forbidden: the chart begins anew with the page
  }
  draw();
}

function data() {
  const minutes = calls.map(({ at, calls: count }) => [Math.round(Date.parse(at) / 1000), count]);
  const columns = (pairs) => [pairs.map(([at]) => at), pairs.map(([, value]) => value)];
  return uPlot.join([columns(samples), columns(minutes)]);
}

function options() {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(name).trim();
  const axis = { stroke: colour("--ink-soft"), grid: { stroke: colour("--edge"), width: 1 }, ticks: { show: false }, font: `12px ${colour("--display")}` };
  const whole = (_, values) => values.map((value) => (Number.isInteger(value) ? number(value) : ""));
  const clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" });
  const box = document.getElementById("chart");
  return {
    width: box.clientWidth,
    height: HEIGHT,
    cursor: { show: false },
    legend: { show: false },
    scales: { line: { range: (_, __, most) => [0, Math.max(10, most * 1.15)] }, calls: { range: (_, __, most) => [0, Math.max(10, most * 1.15)] } },
    axes: [
      { ...axis, space: 80, values: (_, values) => values.map((value) => clock.format(value * 1000)) },
      { ...axis, scale: "line", values: whole, size: 52 },
      { ...axis, scale: "calls", side: 1, values: whole, size: 52, grid: { show: false } },
    ],
    series: [
      {},
      { label: box.dataset.wordsLine, scale: "line", stroke: colour("--celadon"), fill: `color-mix(in srgb, ${colour("--celadon")} 14%, transparent)`, width: 2.5, spanGaps: true, points: { show: false } },
      { label: box.dataset.wordsCalls, scale: "calls", stroke: colour("--persimmon"), width: 2, spanGaps: true, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
    ],
  };
}

function draw(anew = false) {
  if (typeof uPlot === "undefined") return;
  if (anew && chart) {
    chart.destroy();
    chart = null;
  }
  if (chart) chart.setData(data());
  else chart = new uPlot(options(), data(), document.getElementById("chart"));
}

let shown = "";
function showMinutes(minutes) {
  const rows = [...minutes].reverse();
  const key = JSON.stringify(rows);
  if (key === shown) return; // a table that is being read is left alone while nothing has changed
  shown = key;
  const body = document.getElementById("each-minute");
  body.replaceChildren(
    ...rows.map(({ at, calls: count }) => {
      const row = document.createElement("tr");
      const [head, cell, time] = ["th", "td", "time"].map((name) => document.createElement(name));
      Object.assign(head, { scope: "row" });
      time.dateTime = at;
      time.dataset.moment = "time";
      cell.className = "number";
      cell.textContent = number(count);
      head.append(time);
      row.append(head, cell);
      return row;
    }),
  );
}

new ResizeObserver(() => {
  const width = document.getElementById("chart").clientWidth;
  if (chart && width !== chart.width) chart.setSize({ width, height: HEIGHT });
}).observe(document.getElementById("chart"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
document.addEventListener("visibilitychange", listen);
window.addEventListener("pagehide", stop);
window.addEventListener("pageshow", ({ persisted }) => persisted && listen());
listen();
