// Bringing a part of a page up to date by the server's own page, so that the words are said in one place only.

import { showMoments, tick } from "./site.js";

/** Put the element of this id as the server shows it now in the place of ours. Whether that was possible. */
export async function renewed(id) {
  const answer = await fetch(location.pathname, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(id);
  if (!fresh) return false;
  document.getElementById(id).replaceWith(document.adoptNode(fresh));
  document.title = page.title;
  showMoments(fresh);
  tick();
  return true;
}
