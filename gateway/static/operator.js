// The operator's live page: figures every two seconds, one chart, and a fresh page when somebody has changed the settings.
// Every action is an ordinary form; nothing here is needed to act.

import { language, number, setClock, showMoments } from "./site.js";

const watch = document.getElementById("watch");
const EVERY_MS = 2000;
const KEPT = 1800; // samples of the line's length, one hour
const storage = `firstcome-samples-${watch.dataset.figures}`;

let samples = remembered();
let calls = [];
let failures = 0;
let timer = 0;
let chart = null;

async function ask() {
  clearTimeout(timer);
  const began = Date.now();
  try {
    const answer = await fetch(watch.dataset.figures, { headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(8000) });
    if (answer.status === 401) location.reload();
    if (answer.ok) {
      const figures = await answer.json();
      setClock(figures.as_of, Date.now() - began);
      failures = 0;
      show(figures);
    } else failures += 1;
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    failures += 1;
  }
  document.getElementById("lost").hidden = failures < 2;
  if (!document.hidden) timer = setTimeout(ask, EVERY_MS * Math.min(5, 1 + failures));
}

function show(figures) {
  for (const element of watch.querySelectorAll("[data-fill]")) {
    const value = element.dataset.fill.split(".").reduce((at, key) => at?.[key], figures);
    if (element.dataset.fill === "as_of") element.dateTime = figures.as_of;
    else element.textContent = typeof value === "number" ? number(value) : element.dataset.fill.startsWith("orders.") ? number(0) : "–";
  }
  for (const [state, count] of Object.entries(figures.orders)) {
    const row = watch.querySelector(`[data-order-state="${state}"]`);
    if (row && count) row.hidden = false;
  }
  figures.stock.forEach(showStock);
  document.getElementById("leaderless").hidden = figures.leading || !["open", "all_held"].includes(figures.phase);
  sample(figures);
  showMinutes(figures.calls);
  showMoments(watch);
  if (figures.control !== watch.dataset.control || figures.phase !== watch.dataset.phase || String(figures.version) !== watch.dataset.version) renew();
}

function showStock({ product_id, allotted, held, sold }) {
  const row = watch.querySelector(`[data-product="${CSS.escape(product_id)}"]`);
  if (!row) return;
  const put = (key, value) => (row.querySelector(`[data-stock="${key}"]`).textContent = number(value));
  put("allotted", allotted);
  put("held", held);
  put("sold", sold);
  put("free", allotted - held - sold);
  const share = (value) => (allotted ? (100 * value) / allotted : 0);
  row.querySelector(".sold").setAttribute("width", `${share(sold)}%`);
  row.querySelector(".held").setAttribute("x", `${share(sold)}%`);
  row.querySelector(".held").setAttribute("width", `${share(held)}%`);
}

/** The buttons follow the state of the sale: fetch the page anew, but never under the operator's fingers. */
function renew() {
  if (performance.now() < 5000) return; // never in a circle, should page and figures differ for longer
  const busy = document.activeElement?.closest("form, details") || watch.querySelector("details.grave[open]");
  if (!busy) location.replace(location.pathname);
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
  samples.push([Math.round(Date.parse(figures.as_of) / 1000), figures.line.waiting]);
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
    height: 260,
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
  const body = document.getElementById("minutes");
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
  if (chart && width !== chart.width) chart.setSize({ width, height: 260 });
}).observe(document.getElementById("chart"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
document.addEventListener("visibilitychange", () => !document.hidden && ask());
ask();
