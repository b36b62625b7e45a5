// Keeps the page live: the stream says that something changed, then the fragment is read again.

const live = document.getElementById("live");
const state = document.getElementById("link-state");

// A busy deployment tells of many steps in a second; the page is read at most this often.
const PAUSE_MS = 400;
// "12 s ago" goes stale without any event.
const REFRESH_MS = 30000;

let reading = false;
let again = false;

async function read() {
  if (reading) {
    again = true;
    return;
  }
  reading = true;
  try {
    const answer = await fetch(live.dataset.source, { credentials: "same-origin" });
    if (answer.status === 401) {
      window.location.assign("/login");
      return;
    }
    if (answer.ok) replace(await answer.text());
  } catch {
    show("off");
  }
  await new Promise((done) => setTimeout(done, PAUSE_MS));
  reading = false;
  if (again) {
    again = false;
    read();
  }
}

function replace(html) {
  const focused = live.contains(document.activeElement)
    ? [...live.querySelectorAll("a, [tabindex]")].indexOf(document.activeElement)
    : -1;
  const scrolled = live.querySelector(".scroll")?.scrollLeft ?? 0;
  // Parsed as an inert document of our own server's making; the policy forbids scripts in it.
  const parsed = new DOMParser().parseFromString(html, "text/html");
  live.replaceChildren(...parsed.body.childNodes);
  const table = live.querySelector(".scroll");
  if (table) table.scrollLeft = scrolled;
  if (focused >= 0) live.querySelectorAll("a, [tabindex]")[focused]?.focus({ preventScroll: true });
}

function show(value) {
  state.dataset.state = value;
  state.textContent = value === "on" ? "Live" : "Not live";
}

const stream = new EventSource(`/changes?after=${live.dataset.after}`);
stream.addEventListener("hello", () => show("on"));
stream.addEventListener("change", read);
stream.addEventListener("error", () => {
  show("off");
  // A browser gives up for good after an answer that is no stream, such as a 401.
  if (stream.readyState === EventSource.CLOSED) read();
});
setInterval(() => document.visibilityState === "visible" && read(), REFRESH_MS);
