// Bringing parts of a page up to date by the server's own page, so that the words are said in one place only.

import { serverNow, showMoments, tick } from "./site.js";

const SPREAD_MS = 4_000; // a crowd that looks at the same countdown does not ask at the same moment
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Put the elements of these ids as the server shows them now in the place of ours. The page as it came, or null when it did not. */
export async function renewed(...ids) {
  let page;
  try {
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" }, cache: "no-cache" });
    if (!answer.ok) return null;
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException) return null;
    throw error;
  }
  if (ids.some((id) => !page.getElementById(id))) return null;
  for (const id of ids) {
    const fresh = document.adoptNode(page.getElementById(id));
    document.getElementById(id).replaceWith(fresh);
    showMoments(fresh);
  }
  document.title = page.title;
  tick();
  return page;
}

/** Call `then` once the server's clock is past `iso`, a little apart from everybody else. */
export function after(iso, then) {
  const ms = Date.parse(iso) - serverNow() + Math.random() * SPREAD_MS + 500;
  if (Number.isFinite(ms)) setTimeout(ms > LONGEST_TIMER_MS ? () => after(iso, then) : then, Math.max(0, Math.min(ms, LONGEST_TIMER_MS)));
}
