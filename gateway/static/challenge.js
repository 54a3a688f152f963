// Solves the sale's challenge in the background and sends the form with it, so that the buyer has nothing to do.
// The work is ALTCHA's own solver, in a few workers that share the counters among them. Where that is not possible (no workers, no
// Web Crypto, no answer) the other form stays: it asks for a little patience instead, and needs none of this.

const solve = document.getElementById("solve");
const pause = document.getElementById("pause");
const MOST_WORKERS = 4;
const LONGEST_MS = 90000;

/** The first solution that any of the workers finds; null when there is none in time. */
function solution(challenge) {
  const count = Math.max(1, Math.min(MOST_WORKERS, (navigator.hardwareConcurrency || 2) - 1));
  const workers = Array.from({ length: count }, () => new Worker(solve.dataset.worker));
  return new Promise((found, failed) => {
    for (const [at, worker] of workers.entries()) {
      worker.onerror = () => failed(new Error("a worker cannot be started"));
      worker.onmessage = ({ data }) => (data?.error ? failed(data.error) : found(data));
      worker.postMessage({ type: "work", challenge, counterStart: at, counterStep: count, timeout: LONGEST_MS });
    }
  }).finally(() => workers.forEach((worker) => worker.terminate()));
}

async function go() {
  const answer = await fetch(solve.dataset.challenge, { cache: "no-store", signal: AbortSignal.timeout(15000) });
  if (!answer.ok) throw new Error(`the challenge was answered ${answer.status}`);
  const challenge = await answer.json();
  const solved = await solution(challenge);
  if (!solved) throw new Error("no solution in time");
  solve.elements.challenge.value = btoa(JSON.stringify({ challenge, solution: solved }));
  solve.submit();
}

solve.hidden = false;
pause.hidden = true;
go().catch(() => {
  solve.hidden = true;
  pause.hidden = false;
  pause.querySelector("button").focus();
});
