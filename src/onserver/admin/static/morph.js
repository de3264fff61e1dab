// Makes an element into another one with as few changes as there can be: what somebody has focused, opened, ticked,
// typed or scrolled to stays as it is. Rows are known by `data-key`; what scripts have put in (`data-own`) stays. A form
// becomes none of another action: whoever is about to press its button would do something else.

const key = (node) => (node.nodeType === 1 ? node.dataset.key || node.id || node.dataset.action || "" : "");
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);
// what somebody changes and a page never does
const own = new Set(["open", "checked", "value", "aria-selected", "data-marked", "tabindex"]);
const shows = (node) => node.nodeName === "PROGRESS" || node.nodeName === "METER" || node.type === "hidden";

export function morph(from, to, changed = () => {}) {
  if (from.isEqualNode(to)) return;
  attributes(from, to);
  children(from, to, changed);
}

function attributes(from, to) {
  for (const { name, value } of to.attributes) {
    if (own.has(name) && !shows(from)) continue;
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !own.has(name) && !name.startsWith("data-own")) from.removeAttribute(name);
  }
}

function children(from, to, changed) {
  const keyed = new Map();
  const wanted = new Set([...to.children].map(key));
  for (const node of [...from.children]) {
    if (!key(node) || node.hasAttribute("data-own")) continue;
    if (!wanted.has(key(node))) node.remove(); // first, so that none that stays is moved: it would lose the focus
    else if (!keyed.has(key(node))) keyed.set(key(node), node);
  }
  let here = skip(from.firstChild);
  for (const want of [...to.childNodes]) {
    const known = key(want) ? keyed.get(key(want)) : null;
    const match = known && alike(known, want) ? known : here && !key(want) && !key(here) && alike(here, want) ? here : null;
    if (match === null) {
      const made = document.importNode(want, true);
      from.insertBefore(made, here);
      if (made.nodeType === 1) changed(made);
      continue;
    }
    keyed.delete(key(match));
    while (match === known && here !== match && here?.nodeType === 3) here = without(here);
    if (match === here) here = skip(here.nextSibling);
    else from.insertBefore(match, here);
    if (match.nodeType !== 1) {
      if (match.nodeValue !== want.nodeValue) match.nodeValue = want.nodeValue;
    } else if (!match.isEqualNode(want)) {
      const before = match.dataset.key ? match.textContent : null;
      morph(match, want, changed);
      if (before !== null && before !== match.textContent) changed(match);
    }
  }
  while (here) here = without(here);
}

function without(node) {
  const next = skip(node.nextSibling);
  node.remove();
  return next;
}

function skip(node) {
  while (node && node.nodeType === 1 && node.hasAttribute("data-own")) node = node.nextSibling;
  return node;
}
