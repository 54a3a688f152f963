// The chart of a rehearsal: the people in line and the units sold, over the seconds after the opening. Everything stands in the table too.

import { language, number } from "./site.js";

const HEIGHT = 240;
const box = document.getElementById("chart");
const samples = JSON.parse(box.dataset.samples);
const data = [samples.map(({ at_s: at }) => at), samples.map(({ waiting }) => waiting), samples.map(({ sold }) => sold)];
const minutes = new Intl.NumberFormat(language, { style: "unit", unit: "minute", unitDisplay: "short", maximumFractionDigits: 1 });
let chart = null;

function options() {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(name).trim();
  const axis = { stroke: colour("--ink-soft"), grid: { stroke: colour("--edge"), width: 1 }, ticks: { show: false }, font: `12px ${colour("--display")}` };
  const whole = (_, values) => values.map((value) => (Number.isInteger(value) ? number(value) : ""));
  const range = (_, __, most) => [0, Math.max(10, most * 1.15)];
  return {
    width: box.clientWidth,
    height: HEIGHT,
    cursor: { show: false },
    legend: { show: false },
    scales: { x: { time: false }, line: { range }, sold: { range } },
    axes: [
      { ...axis, space: 80, values: (_, values) => values.map((value) => minutes.format(value / 60)) },
      { ...axis, scale: "line", values: whole, size: 60 },
      { ...axis, scale: "sold", side: 1, values: whole, size: 60, grid: { show: false } },
    ],
    series: [
      {},
      { label: box.dataset.wordsLine, scale: "line", stroke: colour("--celadon"), fill: `color-mix(in srgb, ${colour("--celadon")} 14%, transparent)`, width: 2.5, points: { show: false } },
      { label: box.dataset.wordsSold, scale: "sold", stroke: colour("--persimmon"), width: 2, points: { show: false } },
    ],
  };
}

function draw() {
  chart?.destroy();
  chart = new uPlot(options(), data, box);
}

new ResizeObserver(() => {
  if (chart && box.clientWidth !== chart.width) chart.setSize({ width: box.clientWidth, height: HEIGHT });
}).observe(box);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
