// One chain of questions to the server, never two: it says when the next one is due. A lost answer is asked for again with
// growing patience; a page that comes back to sight or to the network asks at once. Knows nothing of what is asked.

import { setClock } from "./site.js";

const ANSWER_WITHIN_MS = 15_000;
const A_MOMENT_MS = 1_000;

/**
 * Ask `url` for JSON, again and again.
 * `taken(body)` gives (or promises) the ms until the next question, or null when there is nothing more to ask.
 * `lost(why)` is told "offline" or "busy" when answers fail to come, and null when one came again.
 * `gone()` is called instead when the server knows nobody under this session any more; the chain ends.
 * `shortest` and `longest` are ms between two questions; `unseen()` the least while nobody sees the page, Infinity for none.
 * `first` is the ms until the first question. Answers `{ask, stop}`: ask at once (or as soon as `shortest` allows), and end.
 */
export function follow(url, { taken, lost, gone, first, shortest = 1_500, longest = 30_000, unseen = () => Infinity, steady = false }) {
  const timer = alarm(ask, steady);
  let asking = false;
  let ended = false;
  let failures = 0;
  let asked = -Infinity;

  function schedule(ms) {
    if (ended) return;
    const least = document.hidden ? Math.max(unseen(), shortest) : shortest;
    timer.set(Math.max(ms, least - (performance.now() - asked)));
  }

  async function ask() {
    if (asking || ended) return;
    asking = true;
    timer.set(Infinity);
    asked = performance.now();
    let next = longest; // what is due after a fault of the page itself, which is reported and ends nothing
    try {
      const got = await fetched(url);
      next = got ? await understood(got) : unreachable(navigator.onLine ? "busy" : "offline");
    } finally {
      asking = false;
      if (next === null) stop();
      else schedule(next);
    }
  }

  async function understood({ status, after, body }) {
    if (status === 429) return after; // another tab asks for the same: nothing is wrong
    if (status === 401 || status === 404) {
      gone();
      return null;
    }
    if (!body) return Math.max(after, unreachable("busy"));
    if (body.as_of) setClock(body.as_of, performance.now() - asked);
    failures = 0;
    lost(null);
    return await taken(body);
  }

  /** Say so from the second time on, and how many ms to wait before the next try. */
  function unreachable(why) {
    failures += 1;
    if (failures > 1 || why === "offline") lost(why);
    return Math.min(longest, A_MOMENT_MS * 2 ** Math.min(failures, 5)) * (0.75 + Math.random() / 2);
  }

  function soon() {
    if (document.hidden || ended) return;
    if (performance.now() - asked < shortest) schedule(0);
    else ask();
  }

  function stop() {
    ended = true;
    timer.set(Infinity);
  }

  document.addEventListener("visibilitychange", soon);
  window.addEventListener("online", soon);
  window.addEventListener("offline", () => ended || lost("offline"));
  window.addEventListener("pageshow", (event) => event.persisted && soon());
  schedule(first);
  return { ask: soon, stop };
}

/** What the server said: `after` is when it may be asked again, in ms; `body` null for a refusal. Null when nothing came through. */
async function fetched(url) {
  try {
    const answer = await fetch(url, {
      headers: { Accept: "application/json" },
      cache: "no-store",
      credentials: "same-origin",
      signal: AbortSignal.timeout?.(ANSWER_WITHIN_MS), // older browsers wait as long as they like
    });
    const after = (Number(answer.headers.get("Retry-After")) || 2) * 1000 + Math.random() * A_MOMENT_MS;
    // The networks of trains and hotels like to answer with a page of their own.
    const ours = answer.ok && answer.headers.get("Content-Type")?.startsWith("application/json");
    return { status: answer.status, after, body: ours ? await answer.json() : null };
  } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException || error instanceof SyntaxError) return null;
    throw error;
  }
}

/**
 * One timer: `set(ms)` replaces what was set, Infinity sets none. A `steady` one runs in a worker, where browsers do not slow it
 * down to once a minute when the page is out of sight.
 */
function alarm(ring, steady) {
  let timer = 0;
  let worker = null;
  let due = Infinity;
  const own = () => {
    clearTimeout(timer);
    if (due !== Infinity) timer = setTimeout(ring, Math.max(0, due - performance.now()));
  };
  if (steady && "Worker" in window) {
    worker = new Worker(new URL("./timer.js", import.meta.url));
    worker.onmessage = () => performance.now() >= due - 1 && ring(); // else it was set anew meanwhile
    worker.onerror = () => {
      worker = null; // it could not be loaded: the page's own timer does
      own();
    };
  }
  return {
    set(ms) {
      due = performance.now() + ms;
      if (worker) worker.postMessage(ms);
      else own();
    },
  };
}
