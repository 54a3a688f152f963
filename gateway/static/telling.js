// How a page tells what has changed when nobody looks at it: a polite voice, and the picture on its tab. Knows no states.

const RING = 2 * Math.PI * 13;

/** A sentence that the server has put into the page. */
export const sentence = (key) => document.querySelector(`[data-say="${key}"]`)?.textContent ?? "";

/** Have it read aloud when the reader has finished; nothing is said behind a page that is not seen. */
export function say(words) {
  if (!document.hidden) document.getElementById("said").textContent = words;
}

/**
 * Show the icon of that name among a page's `data-icon-…`. Where there are few ahead, the plain one becomes their number within
 * a ring that shows the way so far, `done` percent.
 */
export function icon(icons, name, ahead, done) {
  const link = document.querySelector("link[rel=icon]");
  const plain = icons[name ? `icon${name[0].toUpperCase()}${name.slice(1)}` : "icon"];
  const href = !name && ahead < 1000 && typeof ahead === "number" ? counted(ahead, done) : plain;
  if (link.getAttribute("href") !== href) link.setAttribute("href", href);
}

function counted(ahead, done) {
  const size = [0, 19, 16, 12.5][String(ahead).length];
  const drawn = (RING * done) / 100;
  return `data:image/svg+xml,${encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="16" fill="#10352e"/>` +
      `<circle cx="16" cy="16" r="13" fill="none" stroke="#ff9c74" stroke-width="3" stroke-dasharray="${drawn} ${RING}" transform="rotate(-90 16 16)"/>` +
      `<text x="16" y="${16 + size * 0.36}" text-anchor="middle" fill="#fff" font-family="system-ui,sans-serif" font-weight="700" font-size="${size}">${ahead}</text></svg>`,
  )}`;
}
