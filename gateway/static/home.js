// The landing page: when a countdown is over, the sales are shown anew.

import { after, renewed } from "./renewing.js";

const AGAIN_MS = 10_000;
const next = () => document.getElementById("sales")?.dataset.next;

async function renew() {
  const before = next();
  await renewed("sales");
  // Without a network, or when the server has not turned the page yet, the same moment stands there still.
  if (next() && next() === before) setTimeout(renew, AGAIN_MS * (1 + Math.random()));
  else watch();
}

function watch() {
  if (next()) after(next(), renew);
}

watch();
