// The order's page: asks until the order moves on, then shows the server's own page in place, without a jump.

import { follow } from "./poll.js";
import { renewed } from "./renewing.js";

const LONGEST_WAIT_MS = 15_000;
const order = () => document.getElementById("order");
const everyMs = () => (order().dataset.watch === undefined ? null : 1000 * Number(order().dataset.watch));

function showIcon() {
  document.querySelector("link[rel=icon]").setAttribute("href", order().dataset.icon);
}

/** Written after the page is there, so that it is read aloud; nobody is torn from what they are at. */
function sayLonger() {
  const note = document.getElementById("longer");
  note.hidden = false;
  note.textContent = note.dataset.words;
}

async function taken(body) {
  const { state, money, hold } = order().dataset;
  const moved = body.state !== state || Object.values(body.money ?? {}).join() !== money;
  const longer = !moved && Date.parse(body.hold_expires_at) > Date.parse(hold);
  if ((moved || longer) && (await renewed("order"))) {
    showIcon();
    if (longer) sayLonger();
    else document.getElementById("headline").focus(); // the headline says what has become of the order
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
