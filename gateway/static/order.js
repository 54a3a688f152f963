// The order's page: asks until the order moves on, then shows the server's own page in place, without a jump.

import { follow } from "./poll.js";
import { renewed } from "./renewing.js";

const LONGEST_WAIT_MS = 15_000;
const order = () => document.getElementById("order");
const everyMs = () => (order().dataset.watch === undefined ? null : 1000 * Number(order().dataset.watch));

function showIcon() {
  document.querySelector("link[rel=icon]").setAttribute("href", order().dataset.icon);
}

async function taken(body) {
  const { state, money } = order().dataset;
  const moved = body.state !== state || Object.values(body.money ?? {}).join() !== money;
  if (moved && (await renewed("order"))) {
    showIcon();
    document.getElementById("headline").focus(); // the headline says what has become of the order
  }
  return everyMs() === null ? null : (body.poll_after_ms ?? everyMs());
}

showIcon();
if (everyMs() !== null) {
  follow(order().dataset.poll, {
    taken,
    lost: (why) => (document.getElementById("offline").hidden = !why),
    gone: () => location.reload(),
    first: 700,
    shortest: 700,
    longest: LONGEST_WAIT_MS,
  });
}
