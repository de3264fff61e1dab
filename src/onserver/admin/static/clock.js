// Moments and lengths of time go on by themselves, by the clock of the server.

import { ago, span } from "./text.js";

let behind = Number(document.documentElement.dataset.now) - Date.now();

export function heard(now) {
  behind = now - Date.now();
}

export function tick() {
  const now = Date.now() + behind;
  for (const one of document.querySelectorAll("time[data-ms]")) {
    const age = (now - Number(one.dataset.ms)) / 1000;
    const quiet = one.querySelector(".quiet");
    const text = quiet ? `(${ago(age)})` : ago(age);
    const place = quiet ?? one;
    if (place.textContent !== text) place.textContent = text;
  }
  for (const one of document.querySelectorAll("[data-since]")) {
    const text = span(Math.max(0, (now - Number(one.dataset.since)) / 1000));
    if (one.textContent !== text) one.textContent = text;
  }
}

setInterval(tick, 1000);
