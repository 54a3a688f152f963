// Telling of the turn, for those who wish it: a sound that is made here, and a notification. Remembered on this device.

const TONES_HZ = [659.25, 880];
const LOUD = 0.25;

/** The page's switches. `body` is the notification's text, `sale` and `icon` as in the page. */
export class Alerts {
  #audio = null;
  #sound = document.getElementById("alert-sound");
  #notice = document.getElementById("alert-notice");

  constructor({ body, sale, icon }) {
    Object.assign(this, { body, sale, icon });
    this.#sound.checked = remembered("sound");
    this.#notice.checked = remembered("notice") && window.Notification?.permission === "granted";
    document.getElementById("alert-notice-label").hidden = !("Notification" in window);
    this.#sound.addEventListener("change", () => {
      remember("sound", this.#sound.checked);
      if (this.#sound.checked) this.#chime(1);
    });
    this.#notice.addEventListener("change", () => this.#askPermission());
    // Browsers keep a page silent until it is touched: a sound that was wished on an earlier visit needs one touch anew.
    if (this.#sound.checked) for (const touch of ["pointerdown", "keydown"]) addEventListener(touch, () => this.#open(), { once: true });
  }

  get wanted() {
    return this.#sound.checked || this.#notice.checked;
  }

  /** Say that the turn has come. */
  turn(words) {
    if (this.#sound.checked) this.#chime(3);
    if (this.#notice.checked) this.#show(words);
  }

  async #askPermission() {
    const allowed = !this.#notice.checked || (await Notification.requestPermission()) === "granted";
    if (!allowed) this.#notice.checked = false;
    document.getElementById("alert-denied").hidden = allowed;
    remember("notice", this.#notice.checked);
    if (this.#notice.checked) await bell();
  }

  async #show(words) {
    const options = { body: this.body, tag: `firstcome-${this.sale}`, icon: this.icon, requireInteraction: true };
    const registration = await bell();
    if (registration) await registration.showNotification(words, { ...options, data: location.href });
    else new Notification(words, options).addEventListener("click", () => window.focus());
  }

  #open() {
    this.#audio ??= new AudioContext();
    return this.#audio.resume();
  }

  #chime(times) {
    this.#open();
    for (let at = 0; at < times * 2; at += 1) {
      const [tone, loudness] = [this.#audio.createOscillator(), this.#audio.createGain()];
      const when = this.#audio.currentTime + Math.floor(at / 2) * 0.9 + (at % 2) * 0.18;
      tone.frequency.value = TONES_HZ[at % 2];
      loudness.gain.setValueAtTime(0.0001, when);
      loudness.gain.exponentialRampToValueAtTime(LOUD, when + 0.02);
      loudness.gain.exponentialRampToValueAtTime(0.0001, when + 0.5);
      tone.connect(loudness).connect(this.#audio.destination);
      tone.start(when);
      tone.stop(when + 0.55);
    }
  }
}

/** Phones show notifications through a service worker only; null where there is none. */
async function bell() {
  const workers = navigator.serviceWorker;
  if (!workers) return null;
  try {
    const registration = await workers.register("/static/bell.js");
    return registration.active ? registration : await activated(registration);
  } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException) return null; // not allowed here, or not reached
    throw error;
  }
}

function activated(registration) {
  const worker = registration.installing ?? registration.waiting;
  return new Promise((resolve) => {
    worker.addEventListener("statechange", () => worker.state === "activated" && resolve(registration));
  });
}

function remembered(key) {
  try {
    return localStorage.getItem(`firstcome-${key}`) === "yes";
  } catch (error) {
    if (error instanceof DOMException) return false; // storage is forbidden here; the choice lasts as long as the page
    throw error;
  }
}

function remember(key, yes) {
  try {
    localStorage.setItem(`firstcome-${key}`, yes ? "yes" : "no");
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}
