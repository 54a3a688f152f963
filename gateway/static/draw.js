// The receipt of a draw: everything is recomputed here from what is public, with the browser's own cryptography. Asks nothing of
// the shop but the two public documents, and believes neither of them.

const AT_ONCE = 2_000;
const LINE = 15; // a ticket's id and a newline
const section = document.getElementById("draw");

if (section && crypto.subtle) {
  const button = document.getElementById("draw-check");
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      show(await verdict(section.dataset, progress));
    } catch {
      show({ words: "failed" });
    }
    button.disabled = false;
  });
}

function progress(done, size) {
  show({ words: "working", done, size });
}

function show({ words, tone = "wait", ...values }) {
  const place = document.getElementById("draw-verdict");
  place.hidden = false;
  place.dataset.tone = tone;
  place.dataset.verdict = words;
  place.textContent = section.dataset[words].replace(/{(\w+)}/g, (_, name) => Number(values[name]).toLocaleString(document.documentElement.lang));
}

/** What the public data say of this receipt. */
async function verdict({ draw, ticket, commitment, saleId }, progress) {
  const document = await (await asked(draw)).json();
  if (!document.seed) return { words: "soon" };
  const seed = bytesOf(document.seed);
  if ((await commitmentOf(saleId, seed)) !== commitment) return { words: "badSeed", tone: "stop" };

  const text = new Uint8Array(await (await asked(document.list_url)).arrayBuffer());
  if (hex(await crypto.subtle.digest("SHA-256", text)) !== document.list_hash) return { words: "badList", tone: "stop" };
  const size = text.length / LINE;
  const key = await crypto.subtle.importKey("raw", seed, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const own = await score(key, new TextEncoder().encode(ticket));
  let before = -1n;
  let number = 0;
  let ahead = 0;
  for (let first = 0; first < size; first += AT_ONCE) {
    const lines = Array.from({ length: Math.min(AT_ONCE, size - first) }, (_, n) => text.subarray((first + n) * LINE, (first + n + 1) * LINE - 1));
    const scores = await Promise.all(lines.map((line) => score(key, line)));
    for (const [n, one] of scores.entries()) {
      if (one < before) return { words: "badOrder", tone: "stop" };
      before = one;
      if (one < own) ahead += 1;
      if (one === own && new TextDecoder().decode(lines[n]) === ticket) number = first + n + 1;
    }
    if (size > AT_ONCE) progress(Math.min(size, first + AT_ONCE), size);
  }
  if (number) return { words: "right", tone: "go", number, size };
  const late = document.addendum.some((entry) => entry.ticket_id === ticket);
  return late ? { words: "late", tone: "go", number: ahead + 1 } : { words: "missing", tone: "stop" };
}

async function asked(address) {
  const answer = await fetch(address, { credentials: "omit" });
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer;
}

async function commitmentOf(saleId, seed) {
  const words = new TextEncoder().encode(`firstcome-draw-1${saleId}`);
  const all = new Uint8Array(words.length + seed.length);
  all.set(words);
  all.set(seed, words.length);
  return hex(await crypto.subtle.digest("SHA-256", all));
}

/** The first 52 bits of the keyed hash of an id. */
async function score(key, id) {
  return new DataView(await crypto.subtle.sign("HMAC", key, id)).getBigUint64(0) >> 12n;
}

const bytesOf = (digits) => Uint8Array.from(digits.match(/../g), (two) => parseInt(two, 16));
const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
