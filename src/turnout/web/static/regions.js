// A part of the page that is read again: when something changed, and at the beat of the stream.
import { morph } from "./morph.js";

// A busy deployment tells of many steps in a second; a region is read at most this often.
const PAUSE_MS = 400;
// So often once nothing is under way: what is over still grows older, and is watched for a while.
const QUIET_MS = 30000;
// So near to its end a log counts as being read at its end.
const NEAR_PX = 24;

export class Region {
  #element;
  #lost;
  #reading = false;
  #again = false;
  #last = "";
  #readAt = performance.now();

  constructor(element, lost) {
    this.#element = element;
    this.#lost = lost;
    for (const box of element.querySelectorAll("[data-stick]")) box.scrollTop = box.scrollHeight;
    element.closest("details")?.addEventListener("toggle", () => this.read());
    document
      .getElementById(element.dataset.onlyIf)
      ?.addEventListener("change", () => this.read());
  }

  // What is counted changes without an event: the stream beats, and what is due is read.
  beat() {
    if (!document.hidden && performance.now() - this.#readAt >= this.#every()) this.read();
  }

  async read() {
    if (!this.#isWanted()) return;
    if (this.#reading) {
      this.#again = true;
      return;
    }
    this.#reading = true;
    this.#readAt = performance.now();
    try {
      const answer = await fetch(this.#element.dataset.source, { credentials: "same-origin" });
      if (answer.status === 401) {
        window.location.assign("/login");
        return;
      }
      if (answer.ok) this.#show(await answer.text());
    } catch {
      this.#lost();
    }
    await new Promise((done) => setTimeout(done, PAUSE_MS));
    this.#reading = false;
    if (this.#again) {
      this.#again = false;
      this.read();
    }
  }

  #isWanted() {
    const inside = this.#element.closest("details");
    const only = document.getElementById(this.#element.dataset.onlyIf);
    return (!inside || inside.open) && (!only || only.checked);
  }

  #every() {
    const over =
      "whileUnderWay" in this.#element.dataset && !document.querySelector('[data-under-way="yes"]');
    return over ? QUIET_MS : Number(this.#element.dataset.every);
  }

  #show(html) {
    if (html === this.#last) return;
    this.#last = html;
    const ends = [...this.#element.querySelectorAll("[data-stick]")].filter(
      (box) => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX,
    );
    const focused = this.#element.contains(document.activeElement) ? document.activeElement : null;
    // Parsed as an inert document of our own server's making; the policy forbids scripts in it.
    const fresh = this.#element.cloneNode(false);
    const parsed = new DOMParser().parseFromString(html, "text/html");
    fresh.replaceChildren(...parsed.body.childNodes);
    morph(this.#element, fresh);
    for (const box of ends) box.scrollTop = box.scrollHeight;
    if (!focused || focused === document.activeElement) return;
    // It was moved, or it is gone: then the reader goes on from the page, not from nowhere.
    const next = focused.isConnected ? focused : document.getElementById("main");
    next.focus({ preventScroll: true });
  }
}
