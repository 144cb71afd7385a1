"use strict";
// Tables are sorted by the column whose head is pressed, and paper, which nobody can press, has all
// that is folded. Charts come alive where they are looked at; before that, on paper and without a
// script their still pictures stand there.
const scale = { "µs": 1e-6, ms: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const number = /^[x+]?([-−]?[\d,]*\.?\d+(?:e[-+]?\d+)?)\s?(µs|ms|[KMGT]iB|[kMGT]\b)?/;

function value(text) {
  const match = number.exec(text);
  return match ? parseFloat(match[1].replaceAll(",", "")) * (scale[match[2]] ?? 1) : NaN;
}

function order(a, b) {
  const [x, y] = [value(a), value(b)];
  // What is no number comes last among numbers.
  if (!isNaN(x) || !isNaN(y)) return isNaN(x) ? 1 : isNaN(y) ? -1 : x - y;
  return a.localeCompare(b);
}

function sort(head) {
  const down = head.ariaSort === "ascending";
  for (const other of head.parentNode.cells) other.ariaSort = null;
  head.ariaSort = down ? "descending" : "ascending";
  const body = head.closest("table").tBodies[0];
  const text = (row) => row.cells[head.cellIndex].textContent;
  const rows = [...body.rows].sort((a, b) => (down ? order(text(b), text(a)) : order(text(a), text(b))));
  body.append(...rows);
}

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const block of opened) block.open = true;
});
addEventListener("afterprint", () => {
  for (const block of opened) block.open = false;
});

for (const table of document.querySelectorAll("table")) {
  if (table.tBodies[0].rows.length < 3) continue;
  table.classList.add("sortable");
  for (const head of table.tHead.rows[0].cells) {
    head.tabIndex = 0;
    head.title = "sort by this column";
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        sort(head);
      }
    });
  }
}

const { config, specs, width } = JSON.parse(document.querySelector("#charts").textContent);
const boxes = [...document.querySelectorAll(".legend input")];
const hidden = () => boxes.filter((box) => !box.checked).map((box) => box.value);
const views = new Map();

// Expressions are interpreted, not compiled: the policy of the page forbids that.
const how = { config, mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false, tooltip: { disableDefaultStyle: true } };

async function draw(figure) {
  if (views.has(figure)) return;
  views.set(figure, null);
  const spec = specs[figure.dataset.chart], place = figure.querySelector(".live");
  // As wide as its place, which still pictures are scaled to.
  const { view } = await vegaEmbed(place, { ...spec, width: spec.width + place.clientWidth - width }, how);
  views.set(figure, view);
  await view.signal("hidden", hidden()).runAsync();
  figure.classList.add("drawn");
}

const figures = [...document.querySelectorAll("figure[data-chart]")];
const watcher = new IntersectionObserver(
  (seen) => seen.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
  { rootMargin: "300px" },
);
for (const figure of figures) watcher.observe(figure);

// A still picture shows all variants: where some are hidden, every figure has to be live.
document.querySelector(".legend").addEventListener("change", async () => {
  for (const view of views.values()) view?.signal("hidden", hidden()).runAsync();
  for (const figure of figures) await draw(figure);
});
