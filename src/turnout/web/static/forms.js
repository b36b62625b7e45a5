// Actions without leaving the page. Without this file the same forms do the same by themselves.

export function listenToForms(done) {
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-act]")) return;
    event.preventDefault();
    send(event.target).then(done);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const open = document.querySelector("details.act[open]");
    if (open) close(open);
  });
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details.act[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });
  // A panel that was opened by keyboard may lie below the window's edge.
  document.addEventListener(
    "toggle",
    (event) => {
      const panel = event.target.matches?.("details.act[open]") && event.target.lastElementChild;
      if (panel) panel.scrollIntoView({ block: "nearest" });
    },
    true,
  );
}

async function send(form) {
  const button = form.querySelector("button[type=submit]");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      credentials: "same-origin",
    });
    if (answer.status === 401) {
      window.location.assign("/login");
      return;
    }
    const there = new URL(answer.url).pathname;
    if (answer.redirected && there !== window.location.pathname) {
      window.location.assign(answer.url);
      return;
    }
    say(await answer.text());
    const panel = form.closest("details.act");
    if (panel && answer.ok) {
      form.reset();
      close(panel);
    }
  } catch {
    sayPlainly("The server cannot be reached; nothing is known of what was asked.");
  } finally {
    button.removeAttribute("aria-busy");
  }
}

function close(panel) {
  const hadFocus = panel.contains(document.activeElement);
  panel.open = false;
  if (hadFocus) panel.firstElementChild.focus();
}

function say(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const found = parsed.querySelector("#notice .toast");
  if (found) put(found);
  else sayPlainly(parsed.querySelector("h1")?.textContent ?? "The server's answer is not known.");
}

function sayPlainly(text) {
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.dataset.tone = "bad";
  const said = document.createElement("p");
  said.textContent = text;
  toast.append(said);
  put(toast);
}

function put(toast) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.textContent = "Dismiss";
  button.addEventListener("click", () => {
    toast.remove();
    document.getElementById("main").focus({ preventScroll: true });
  });
  toast.append(button);
  document.getElementById("notice").replaceChildren(toast);
}
