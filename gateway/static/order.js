// The order's page: asks until the order moves on, then shows the server's own page in place, without a jump.

import { setClock, showMoments, tick } from "./site.js";

const CEILING_MS = 15000;
let failures = 0;
let timer = 0;
let asking = false;

const order = () => document.getElementById("order");
const watched = () => order().dataset.watch !== undefined;

function schedule(ms) {
  clearTimeout(timer);
  if (watched() && !document.hidden) timer = setTimeout(ask, ms);
}

async function ask() {
  if (asking) return;
  asking = true;
  const began = Date.now();
  let next = 1000 * Number(order().dataset.watch);
  try {
    const answer = await fetch(order().dataset.poll, { headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(15000) });
    if (answer.ok) {
      const body = await answer.json();
      if (body.as_of) setClock(body.as_of, Date.now() - began);
      failures = 0;
      document.getElementById("offline").hidden = true;
      next = body.poll_after_ms ?? next;
      if (body.state !== order().dataset.state) await renew();
    } else if (answer.status === 401) location.reload();
    else next = again(Number(answer.headers.get("Retry-After")) * 1000);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    next = again(0);
  } finally {
    asking = false;
  }
  schedule(next);
}

function again(afterMs) {
  failures += 1;
  document.getElementById("offline").hidden = failures < 2;
  return Math.max(afterMs, Math.min(CEILING_MS, 1000 * 2 ** failures) * (0.75 + Math.random() / 2));
}

async function renew() {
  const answer = await fetch(order().dataset.page, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("order");
  if (!fresh) return;
  order().replaceWith(document.adoptNode(fresh));
  document.title = page.title;
  document.querySelector("link[rel=icon]").setAttribute("href", fresh.dataset.icon);
  showMoments(fresh);
  tick();
  document.getElementById("headline").focus(); // the headline says what has become of the order
}

document.querySelector("link[rel=icon]").setAttribute("href", order().dataset.icon);
document.addEventListener("visibilitychange", () => schedule(0));
window.addEventListener("online", () => schedule(0));
schedule(700);
