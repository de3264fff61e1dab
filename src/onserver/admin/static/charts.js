// Charts that tell a value where somebody points, in place of the drawn lines; the table beside them stays.

import { say, span } from "./text.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const drawn = new Map();

function told(figure, value) {
  if (value === null || value === undefined) return "–";
  if (figure.dataset.unit !== "bytes") return String(Number(value.toPrecision(3)));
  const units = ["B", "KB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${size.toFixed(unit ? 1 : 0)} ${units[unit]}`;
}

function values(figure) {
  const found = JSON.parse(figure.dataset.values);
  const times = found.values.map((_, index) => (found.end - (found.values.length - 1 - index) * found.step) / 1000);
  return [times, found.values];
}

function draw(figure) {
  const svg = figure.querySelector("svg");
  const old = drawn.get(figure);
  if (old) {
    old.setData(values(figure));
    return;
  }
  const place = document.createElement("div");
  place.setAttribute("data-own", "");
  place.className = "plot";
  svg.before(place);
  figure.setAttribute("data-own-plotted", "");
  const read = document.createElement("output");
  read.setAttribute("data-own", "");
  read.className = "quiet reading";
  figure.querySelector("figcaption").after(read);
  const axis = { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
  const chart = new window.uPlot(
    {
      width: Math.max(160, place.clientWidth),
      height: 110,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "onserver" } },
      scales: { y: { range: (_, low, high) => [0, high || 1] } },
      axes: [{ ...axis, size: 26, space: 60 }, { ...axis, size: 52, space: 28, values: (_, all) => all.map((one) => told(figure, one)) }],
      series: [{}, { stroke: () => colour("--accent"), width: 1.5, spanGaps: false, points: { show: false } }],
      hooks: {
        setCursor: [
          (self) => {
            const index = self.cursor.idx;
            if (index === null || index === undefined) read.textContent = "";
            else {
              const age = (Date.now() / 1000 - self.data[0][index]) | 0;
              read.textContent = `${say("{span} ago", { span: span(Math.max(0, age)) })}: ${told(figure, self.data[1][index])}`;
            }
          },
        ],
      },
    },
    values(figure),
    place,
  );
  drawn.set(figure, chart);
  new ResizeObserver(() => chart.setSize({ width: Math.max(160, place.clientWidth), height: 110 })).observe(place);
  new MutationObserver(() => draw(figure)).observe(figure, { attributeFilter: ["data-values"] });
}

function all() {
  for (const figure of document.querySelectorAll("figure.chart[data-values]")) draw(figure);
}

if (window.uPlot) {
  all();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach((chart) => chart.redraw()));
}
