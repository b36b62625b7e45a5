// Turns links inside the site into page changes without a load; every address also works when
// it is opened directly, because unknown paths get index.html.

import { notes } from "/assets/notes.31a8d7f2.js";

const page = document.getElementById("page");

addEventListener("popstate", show);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-inside]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  show();
});
show();

function show() {
  const { title, lines } = notes[location.pathname] ?? {
    title: "Not seen yet",
    lines: ["There is no note under this address."],
  };
  document.title = title;
  const heading = document.createElement("h1");
  heading.textContent = title;
  page.replaceChildren(heading, ...lines.map(paragraph));
}

function paragraph(text) {
  const element = document.createElement("p");
  element.textContent = text;
  return element;
}
