// What is shown stays as it is on the server. One tab of a browser has the stream, and tells the others what came; each
// says what it shows. Without streams the page is read again every five seconds.
//
// The sign says how it stands: live, with how old that is; connecting; paused, with how much is new; or read again.
// Paused is paused: also when the tab comes back, and after a reconnection.

import { heard, tick } from "./clock.js";
import { morph } from "./morph.js";
import { say } from "./text.js";

const root = document.documentElement;
const prefix = root.dataset.prefix || "";
const topics = document.body.dataset.topics || "";
const at = location.pathname.slice(prefix.length) + location.search || "/";
const sign = document.getElementById("live-sign");
const POLL = 5000;
const PAUSED = `onserver-paused:${prefix}`;

let paused = sessionStorage.getItem(PAUSED) === "1";
let state = "reconnecting"; // live, reconnecting, away, polling, gone
let last = 0; // when something was heard, by this clock
let waiting = new Map(); // regions that are not shown yet: name to HTML
const frozen = new Map(); // tables whose order is kept: element to HTML

export const isLive = () => Boolean(topics && sign);

// -- what is shown

function region(name) {
  return document.querySelector(`[data-live="${CSS.escape(name)}"]`);
}

function parsed(place, html) {
  const made = place.cloneNode(false);
  made.innerHTML = html;
  return made;
}

function isHeld(place) {
  if (place.nodeName !== "TABLE" && !place.querySelector("table")) return false;
  const table = place.nodeName === "TABLE" ? place : place.querySelector("table");
  return table.matches(":hover") || (table.contains(document.activeElement) && document.activeElement !== table);
}

function marked(node) {
  if (node.nodeName !== "TR") return;
  node.classList.remove("changed");
  requestAnimationFrame(() => node.classList.add("changed"));
  node.addEventListener("animationend", () => node.classList.remove("changed"), { once: true });
}

function show(name, html) {
  const place = region(name);
  if (!place) return;
  const fresh = parsed(place, html);
  if (isHeld(place)) {
    frozen.set(place, html); // the order stays while somebody points there: rows that are there are brought up to date
    for (const row of fresh.querySelectorAll("tr[data-key]")) {
      const there = place.querySelector(`tr[data-key="${CSS.escape(row.dataset.key)}"]`);
      if (there && !there.isEqualNode(row)) morph(there, row);
    }
    return;
  }
  frozen.delete(place);
  const log = place.querySelector("[role=log]");
  const atEnd = log && log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  morph(place, fresh, marked);
  const after = place.querySelector("[role=log]");
  if (after && atEnd) after.scrollTop = after.scrollHeight;
}

function thaw() {
  for (const [place, html] of [...frozen]) {
    if (!isHeld(place)) {
      frozen.delete(place);
      const name = place.dataset.live;
      if (place.isConnected && !stopped()) show(name, html);
      else waiting.set(name, html);
    }
  }
}

function selecting() {
  const chosen = document.getSelection();
  const content = document.getElementById("content");
  return chosen && !chosen.isCollapsed && content.contains(chosen.anchorNode);
}

const stopped = () => paused || selecting();

function news() {
  let count = 0;
  for (const [name, html] of waiting) {
    const place = region(name);
    if (!place) continue;
    const rows = parsed(place, html).querySelectorAll("tr[data-key]");
    if (!rows.length) count += 1;
    for (const row of rows) {
      const there = place.querySelector(`tr[data-key="${CSS.escape(row.dataset.key)}"]`);
      if (!there || there.textContent !== row.textContent) count += 1;
    }
  }
  return count;
}

function take(regions) {
  for (const [name, html] of Object.entries(regions)) waiting.set(name, html);
  flush();
}

function flush() {
  if (!stopped()) {
    for (const [name, html] of waiting) show(name, html);
    waiting = new Map();
    tick();
  }
  draw();
}

// -- the sign

const said = document.createElement("span");
said.className = "unseen";
said.setAttribute("role", "status");
const toggle = document.createElement("button");
toggle.type = "button";
toggle.className = "small";
toggle.id = "live-toggle";

function draw() {
  if (!isLive()) return;
  const age = (Date.now() - last) / 1000;
  const shown = paused ? "paused" : state;
  const text = {
    live: say("● live {age} s", { age: Math.max(0, age).toFixed(age < 9.95 ? 1 : 0) }),
    reconnecting: say("◌ reconnecting"),
    away: say("◌ Redis is not reached"),
    polling: say("◌ read again every 5 s"),
    gone: say("× this is not there any more"),
    paused: say("‖ paused, {n} new", { n: news() }),
  }[shown];
  if (sign.textContent !== text) sign.textContent = text;
  if (sign.dataset.state !== shown) {
    if (sign.dataset.state !== "still" || shown !== "live") said.textContent = shown === "live" ? say("live again") : text;
    sign.dataset.state = shown;
  }
  const label = paused ? say("Go on") : say("Pause the page");
  if (toggle.textContent !== label) toggle.textContent = label;
  toggle.setAttribute("aria-pressed", String(paused));
}

export function togglePause() {
  paused = !paused;
  sessionStorage.setItem(PAUSED, paused ? "1" : "0");
  flush();
}

function stand(now) {
  state = now;
  draw();
}

// -- frames, from the stream or from the tab that has it

function frame(kind, data) {
  last = Date.now();
  if (data && data.now) heard(data.now);
  if (kind === "away") return stand("away");
  if (kind === "reload") return location.reload();
  if (kind === "gone") return data.at === at ? stand("gone") : undefined;
  if (kind === "resync") return void reread();
  if (kind === "page" && data.at === at) {
    stand("live");
    return take(data.regions);
  }
  if (kind === "events") document.dispatchEvent(new CustomEvent("onserver:events", { detail: data }));
  if (state !== "gone") stand("live");
}

async function reread() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "manual" });
  if (answer.type === "opaqueredirect") return location.reload();
  if (!answer.ok) throw new Error(answer.status);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  last = Date.now();
  heard(Number(page.documentElement.dataset.now));
  const regions = {};
  for (const one of page.querySelectorAll("[data-live]")) regions[one.dataset.live] = one.innerHTML;
  take(regions);
}

let polls = 0;
function poll() {
  if (polls) return;
  stand("polling");
  polls = setInterval(async () => {
    if (document.hidden || paused) return;
    try {
      await reread();
      stand("polling");
    } catch {
      stand("reconnecting");
    }
  }, POLL);
}

// -- one stream for all tabs

const me = Math.random().toString(36).slice(2);
const channel = "BroadcastChannel" in window ? new BroadcastChannel(`onserver:${prefix}`) : null;
const shown = new Map([[me, at]]); // tab to what it shows
let stream = null;
let leads = false;
let identity = "";
let opened = "";

function kinds(source) {
  for (const kind of ["page", "events", "resync", "beat", "away", "gone", "reload"]) {
    source.addEventListener(kind, (event) => {
      if (event.lastEventId) identity = event.lastEventId;
      const data = event.data ? JSON.parse(event.data) : null;
      channel?.postMessage({ kind, data, identity });
      frame(kind, data);
    });
  }
}

function open() {
  const wanted = [...new Set(shown.values())].sort().slice(0, 12);
  if (stream && opened === wanted.join("\n") && stream.readyState !== EventSource.CLOSED) return;
  stream?.close();
  stream = null;
  if (!wanted.length) return;
  opened = wanted.join("\n");
  const query = new URLSearchParams(wanted.map((one) => ["at", one]));
  if (identity) query.set("since", identity);
  stream = new EventSource(`${prefix}/live?${query}`);
  kinds(stream);
  stream.addEventListener("open", () => frame("beat", null));
  stream.addEventListener("error", () => {
    const dead = stream.readyState === EventSource.CLOSED;
    channel?.postMessage({ kind: dead ? "none" : "lost" });
    if (dead) refused();
    else stand("reconnecting");
  });
}

// a stream that was refused: there are none here, there are too many, or nobody is logged in
async function refused() {
  const query = new URLSearchParams({ at });
  try {
    const answer = await fetch(`${prefix}/live?${query}`, { headers: { accept: "application/json" } });
    answer.body?.cancel();
    if (answer.status === 401) return location.reload();
    if (answer.status === 501 || answer.status === 503) return poll();
    if (answer.status === 404 || answer.status === 400) return stand("gone");
  } catch {
    stand("reconnecting");
  }
  setTimeout(() => leads && open(), 3000);
}

function want() {
  if (document.hidden) shown.delete(me);
  else shown.set(me, at);
  if (leads) open();
  else channel?.postMessage({ tab: me, at: document.hidden ? "" : at });
}

function lead() {
  leads = true;
  channel?.postMessage({ who: true });
  open();
}

function start() {
  sign.after(" ", toggle, said);
  document.getElementById("reload").hidden = true;
  toggle.addEventListener("click", togglePause);
  channel?.addEventListener("message", ({ data }) => {
    if (data.who) return void want();
    if (data.tab) {
      if (data.at) shown.set(data.tab, data.at);
      else shown.delete(data.tab);
      if (leads) open();
      return undefined;
    }
    if (data.identity) identity = data.identity;
    if (data.kind === "lost") return stand("reconnecting");
    if (data.kind === "none") return leads ? undefined : poll();
    return leads ? undefined : frame(data.kind, data.data);
  });
  document.addEventListener("visibilitychange", want);
  window.addEventListener("pagehide", () => {
    channel?.postMessage({ tab: me, at: "" });
    stream?.close();
  });
  document.addEventListener("selectionchange", () => waiting.size && flush());
  document.addEventListener("pointerout", () => setTimeout(thaw, 50));
  document.addEventListener("focusout", () => setTimeout(thaw, 50));
  setInterval(draw, 250);
  if (channel && navigator.locks) {
    navigator.locks.request(`onserver:${prefix}`, () => {
      lead();
      return new Promise(() => {});
    });
    want();
  } else {
    lead();
  }
  draw();
}

if (isLive() && "EventSource" in window) start();
