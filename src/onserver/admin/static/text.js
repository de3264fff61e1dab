// Texts in the language of the page, and lengths of time as the server writes them.

const texts = JSON.parse(document.body.dataset.texts || "{}");

export function say(text, values = {}) {
  return (texts[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

export function span(seconds) {
  if (seconds < 10) return say("{n} s", { n: seconds.toFixed(1) });
  if (seconds < 60) return say("{n} s", { n: seconds.toFixed(0) });
  const whole = Math.floor(seconds);
  if (whole < 3600) return say("{n} min {m} s", { n: Math.floor(whole / 60), m: whole % 60 });
  if (whole < 86400) return say("{n} h {m} min", { n: Math.floor(whole / 3600), m: Math.floor((whole % 3600) / 60) });
  return say("{n} d {m} h", { n: Math.floor(whole / 86400), m: Math.floor((whole % 86400) / 3600) });
}

export function ago(seconds) {
  if (Math.abs(seconds) < 1) return say("now");
  return seconds < 0 ? say("in {span}", { span: span(-seconds) }) : say("{span} ago", { span: span(seconds) });
}
