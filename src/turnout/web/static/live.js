// Keeps a page live: the stream says that something changed, then its regions are read again.
import { listenToForms } from "./forms.js";
import { Region } from "./regions.js";

const state = document.getElementById("link-state");
const regions = [...document.querySelectorAll("[data-live]")].map((found) => new Region(found, lost));

function lost() {
  show("off");
}

function show(value) {
  if (state.dataset.state === value) return;
  state.dataset.state = value;
  state.textContent = value === "on" ? "Live" : "Not live";
}

function readAll() {
  for (const region of regions) region.read();
}

const source = document.querySelector("[data-changes]").dataset.changes;
let stream = null;

function listen() {
  stream = new EventSource(source);
  stream.addEventListener("hello", () => show("on"));
  stream.addEventListener("change", readAll);
  stream.addEventListener("beat", () => {
    show("on");
    for (const region of regions) region.beat();
  });
  stream.addEventListener("error", () => {
    show("off");
    // A browser gives up for good after an answer that is no stream, such as a 401.
    if (stream.readyState === EventSource.CLOSED) readAll();
  });
}

// Browsers keep six connections to a server: tabs that nobody looks at leave them to the others.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    stream?.close();
    stream = null;
    show("off");
    return;
  }
  if (!stream) listen();
  readAll();
});
if (!document.hidden) listen();
listenToForms(readAll);
