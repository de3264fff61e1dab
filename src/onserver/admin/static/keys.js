// The keyboard: g and a letter for a page, / search, j and k rows, x choose, Enter open, a abort, p pause, l or space
// live, . actions, ? help, Ctrl-K everything. Single keys can be switched off, and none is taken from who is typing.

import { togglePause } from "./live.js";
import { say } from "./text.js";

const OFF = "onserver-keys-off";
const prefix = document.documentElement.dataset.prefix || "";
const pages = [...document.querySelectorAll("nav.pages a")];
let after = 0; // until when a letter behind g is a page

const off = () => localStorage.getItem(OFF) === "1";
const rows = () => [...document.querySelectorAll("main tr[data-href], main tr[data-key]")];
const here = () => document.activeElement?.closest?.("tr[data-key]") ?? null;

function typing(target) {
  return target.closest?.("input:not([type=checkbox]), select, textarea, [contenteditable], dialog") !== null;
}

function move(by) {
  const all = rows();
  if (!all.length) return;
  const index = all.indexOf(here());
  const next = all[index < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, index + by))];
  next.tabIndex = -1;
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

const box = (row) => row?.querySelector("input[type=checkbox]") ?? null;

// does an action to the rows that are chosen, or to the row that has the focus, or to what the page is about
function act(name) {
  const row = here();
  const chosen = document.querySelectorAll("main tr input[type=checkbox]:checked");
  const together = document.querySelector(`button[formaction$="/act/${name}"]`);
  if (together && (chosen.length || box(row))) {
    if (!chosen.length) box(row).checked = true;
    together.click();
    return;
  }
  const scope = row?.querySelector(`form[data-action="${name}"]`) ? row : document.querySelector("main");
  scope.querySelector(`form[data-action="${name}"] button`)?.click();
}

function first(...names) {
  const found = names.find((name) => document.querySelector(`main form[data-action="${name}"]`));
  if (found) act(found);
  else act(names[0]);
}

function actions() {
  const inside = here()?.querySelector("form.act button, input[type=checkbox]");
  (inside ?? document.querySelector("#chosen button, .actions button, form.act button, main button"))?.focus();
}

const KEYS = {
  "/": () => document.getElementById("search")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  x: () => box(here())?.click(),
  Enter: () => open(here()),
  a: () => act("process.abort"),
  p: () => first("process.pause", "queue.pause", "schedule.pause", "server.pause"),
  l: togglePause,
  " ": togglePause,
  ".": actions,
  "?": () => help(),
};

function open(row) {
  const address = row?.dataset.href ?? row?.querySelector("a[href]")?.href;
  if (address) location.assign(address);
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    palette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || off() || event.isComposing || typing(event.target)) return;
  if (Date.now() < after) {
    after = 0;
    const page = pages.find((one) => one.dataset.keyAfterG === event.key);
    if (page) {
      event.preventDefault();
      page.click();
      return;
    }
  }
  if (event.key === "g") {
    after = Date.now() + 1500;
    return;
  }
  const controls = event.target.closest?.("a, button, summary, input, [role=log]");
  if (controls && (event.key === "Enter" || event.key === " ")) return;
  if (event.key === "Enter" && !here()) return;
  const does = KEYS[event.key];
  if (does) {
    event.preventDefault();
    does();
  }
});

document.addEventListener("click", (event) => {
  const row = event.target.closest?.("tr[data-href]");
  if (row && !event.target.closest("a, button, input, label, summary, details") && document.getSelection().isCollapsed) open(row);
});

// -- dialogs

function dialog(title) {
  const made = document.createElement("dialog");
  made.setAttribute("aria-label", title);
  made.addEventListener("close", () => made.remove());
  made.addEventListener("click", (event) => event.target === made && made.close());
  document.body.append(made);
  return made;
}

function help() {
  const made = dialog(say("Keys"));
  const head = document.createElement("h2");
  head.textContent = say("Keys");
  const list = document.createElement("dl");
  list.className = "keys";
  const lines = [
    ...pages.filter((one) => one.dataset.keyAfterG).map((one) => [`g ${one.dataset.keyAfterG}`, one.textContent]),
    ["/", say("search")], ["j k", say("next and previous row")], ["x", say("choose a row")], ["Enter", say("open a row")],
    ["a", say("abort")], ["p", say("pause")], ["l", say("pause the page, or let it go on; the space bar does too")],
    [".", say("to the actions")], ["?", say("this help")], ["Ctrl K", say("go anywhere")],
  ];
  for (const [key, text] of lines) {
    const term = document.createElement("dt");
    for (const one of key.split(" ")) {
      const cap = document.createElement("kbd");
      cap.textContent = one;
      term.append(cap, " ");
    }
    const what = document.createElement("dd");
    what.textContent = text;
    list.append(term, what);
  }
  const switched = document.createElement("label");
  switched.className = "check";
  const tick = document.createElement("input");
  tick.type = "checkbox";
  tick.checked = !off();
  tick.addEventListener("change", () => localStorage.setItem(OFF, tick.checked ? "0" : "1"));
  switched.append(tick, ` ${say("Single keys do this")}`);
  const close = document.createElement("button");
  close.textContent = say("Close");
  close.addEventListener("click", () => made.close());
  made.append(head, list, switched, close);
  made.showModal();
  close.focus();
}

function palette() {
  if (document.querySelector("dialog[open]")) return;
  const made = dialog(say("Go anywhere"));
  const label = document.createElement("label");
  label.textContent = say("Page, action, or number of a process");
  const field = document.createElement("input");
  field.type = "search";
  field.autocomplete = "off";
  field.setAttribute("role", "combobox");
  field.setAttribute("aria-expanded", "true");
  field.setAttribute("aria-controls", "palette-list");
  label.append(field);
  const list = document.createElement("ul");
  list.id = "palette-list";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", say("Go anywhere"));
  made.append(label, list);

  const buttons = [...document.querySelectorAll("main form.act button, #chosen button")];
  const known = [
    ...pages.map((one) => ({ text: one.textContent, go: () => one.click() })),
    ...buttons.map((one) => ({ text: one.getAttribute("aria-label") || one.textContent.trim(), go: () => one.click() })),
  ];
  let found = [];
  let chosen = 0;

  function fill() {
    const text = field.value.trim().toLowerCase();
    found = known.filter((one) => one.text.toLowerCase().includes(text)).slice(0, 12);
    if (/^#?\d+$/.test(text)) {
      const number = text.replace("#", "");
      found.unshift({ text: say("Process {number}", { number }), go: () => location.assign(`${prefix}/processes/${number}`) });
    } else if (text) {
      const query = new URLSearchParams({ q: field.value.trim(), state: "" });
      found.push({ text: say("Search processes for “{text}”", { text: field.value.trim() }), go: () => location.assign(`${prefix}/processes?${query}`) });
    }
    chosen = 0;
    list.replaceChildren(
      ...found.map((one, index) => {
        const item = document.createElement("li");
        item.id = `palette-${index}`;
        item.setAttribute("role", "option");
        item.textContent = one.text;
        item.addEventListener("click", () => go(index));
        return item;
      }),
    );
    mark();
  }

  function mark() {
    [...list.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === chosen)));
    if (list.children[chosen]) {
      field.setAttribute("aria-activedescendant", `palette-${chosen}`);
      list.children[chosen].scrollIntoView({ block: "nearest" });
    } else field.removeAttribute("aria-activedescendant");
  }

  function go(index) {
    const one = found[index];
    if (!one) return;
    made.close();
    one.go();
  }

  field.addEventListener("input", fill);
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const count = Math.max(1, found.length);
      chosen = (chosen + (event.key === "ArrowDown" ? 1 : count - 1)) % count;
      mark();
    } else if (event.key === "Enter") {
      event.preventDefault();
      go(chosen);
    }
  });
  fill();
  made.showModal();
  field.focus();
}

const hint = document.getElementById("keys-hint");
if (hint) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small";
  button.textContent = say("Keys");
  button.addEventListener("click", help);
  hint.append(button);
}
