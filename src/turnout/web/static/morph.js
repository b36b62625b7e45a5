// Makes one tree of elements say what another says, changing nothing that is the same already.
//
// Elements stay where they are, so that focus, scroll, open details and half-written texts stay
// with them. Elements with an id are matched by it, all others by their name and order.

// What belongs to the reader once the page is shown.
const THEIRS = { DETAILS: ["open"], INPUT: ["value", "checked"], TEXTAREA: ["value"] };

export function morph(old, fresh) {
  attributes(old, fresh);
  if (old.nodeName === "TEXTAREA") return;
  children(old, fresh);
}

function attributes(old, fresh) {
  const theirs = THEIRS[old.nodeName] ?? [];
  // What happens now is opened for the reader; what is over is never closed under their eyes.
  if (old.nodeName === "DETAILS" && fresh.dataset.open === "yes" && old.dataset.open === "no") {
    old.open = true;
  }
  for (const { name } of [...old.attributes]) {
    if (!theirs.includes(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    const hidden = name === "value" && old.type === "hidden";
    if ((hidden || !theirs.includes(name)) && old.getAttribute(name) !== value) {
      old.setAttribute(name, value);
    }
  }
}

function children(old, fresh) {
  const known = new Map();
  for (const child of old.children) if (child.id) known.set(child.id, child);
  const wanted = new Set([...fresh.children].map((child) => child.id).filter(Boolean));
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    // What stays is not taken away and put back, which would cost it focus and scroll.
    while (place && isGone(place, wanted)) place = removed(place);
    const match = child.id ? known.get(child.id) : place && isAlike(place, child) ? place : null;
    if (!match) {
      old.insertBefore(child, place);
      continue;
    }
    // Taking away what is in between leaves the match itself untouched where it is.
    if (child.id) while (place && place !== match && !place.id) place = removed(place);
    if (match === place) place = place.nextSibling;
    else old.insertBefore(match, place);
    if (match.nodeType === Node.ELEMENT_NODE) isItsOwn(match) || morph(match, child);
    else if (match.nodeValue !== child.nodeValue) match.nodeValue = child.nodeValue;
  }
  while (place) place = removed(place);
}

// A region in a region is read again by itself.
function isItsOwn(element) {
  return "live" in element.dataset;
}

function isGone(node, wanted) {
  return Boolean(node.id) && !wanted.has(node.id);
}

function isAlike(one, other) {
  return one.nodeName === other.nodeName && !one.id && !other.id;
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}
