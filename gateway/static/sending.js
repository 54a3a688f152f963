// Forms of a page that must not be lost: they are sent from within it, so that a network that fails leaves the reader on the page
// instead of the browser's error. Pressing again is safe, since every form of the line may be repeated.

const ANSWER_WITHIN_MS = 15_000;

/**
 * Send the forms within `root` in place. `taken()` when the answer is this page again; `lost("offline" | "busy")` when none came.
 * An answer that leads elsewhere is followed; a refusal is shown above, as the server wrote it.
 */
export function sendInPlace(root, { taken, lost }) {
  root.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    if (form.ariaBusy === "true") return;
    form.ariaBusy = "true";
    try {
      const answer = await sent(form);
      if (answer === null) lost(navigator.onLine ? "busy" : "offline");
      else settle(answer, root, { taken, lost });
    } finally {
      form.ariaBusy = null;
    }
  });
}

async function sent(form) {
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { Accept: "text/html" },
      signal: AbortSignal.timeout?.(ANSWER_WITHIN_MS), // older browsers wait as long as they like
    });
    return { ok: answer.ok, url: answer.url, html: await answer.text() };
  } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException) return null;
    throw error;
  }
}

function settle({ ok, url, html }, root, { taken, lost }) {
  if (ok && new URL(url).pathname !== location.pathname) {
    location.assign(url);
    return;
  }
  document.getElementById("problem")?.remove();
  const problem = new DOMParser().parseFromString(html, "text/html").getElementById("problem");
  if (problem) {
    root.prepend(document.adoptNode(problem));
    problem.focus();
  }
  if (ok || problem) taken();
  else lost("busy");
}
