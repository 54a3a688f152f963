// The sale's page: how long the line is, and the page brought up to date when the sale moves on. It joins nobody by itself.

import { follow } from "./poll.js";
import { after, renewed } from "./renewing.js";
import { number } from "./site.js";
import { say } from "./telling.js";

const EVERY_MS = 15_000;
const parts = ["heading", "way-in", "offer"];
const standing = () => document.getElementById("way-in");

const chain = follow(standing().dataset.line, {
  taken,
  lost: () => {}, // nothing is lost by not knowing: the next question asks again
  gone: () => location.reload(),
  first: EVERY_MS * Math.random(),
  longest: 4 * EVERY_MS,
});

async function taken({ phase, waiting }) {
  const people = document.querySelector("[data-fill=waiting]");
  if (people) people.textContent = number(waiting);
  if (phase !== standing().dataset.phase && !busy()) await renew();
  return EVERY_MS * (0.75 + Math.random() / 2);
}

/** Whoever is about to press a button or fills in a form is not interrupted. */
const busy = () => document.activeElement?.closest("#way-in form, #way-in a") != null;

async function renew() {
  if (!(await renewed(...parts))) return;
  say(standing().querySelector("h2").textContent);
  watch();
}

/** Soon after the lobby or the sale opens, the page knows. */
function watch() {
  const { next } = standing().dataset;
  if (next) after(next, chain.ask);
}

watch();
