// What pages do beyond forms and links. Every one of them works without.

import "./clock.js";
import "./charts.js";
import "./keys.js";
import "./live.js";
import { say } from "./text.js";

// which zone this browser is in, for who wants times in it
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const known = document.cookie.split("; ").some((one) => one === `onserver-tz=${zone}`);
if (zone && !known) {
  document.cookie = `onserver-tz=${zone}; path=/; max-age=31536000; samesite=strict`;
  if (document.documentElement.dataset.zone === "local") location.reload();
}

// somebody who comes back from logging in elsewhere goes on without a click
document.querySelector("form[data-at-once]")?.requestSubmit();

for (const code of document.querySelectorAll("code[data-copy]")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small copy";
  button.textContent = say("Copy");
  button.setAttribute("data-own", "");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = say("Copied");
    setTimeout(() => (button.textContent = say("Copy")), 1500);
  });
  code.closest("figure")?.append(button);
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
