"use strict";
// Draws the profile in #profile: bars from the caller down to the callee. All of it comes as arrays,
// a call after the one that made it, one deeper.
const profile = JSON.parse(document.querySelector("#profile").textContent);
const { labels, names, depth, totals, whole } = profile;
const count = depth.length;
const HEIGHT = 18;

const parent = new Int32Array(count);
const last = new Int32Array(count); // the first call that is not below this one
const offsets = totals.map(() => new Float64Array(count));
const path = [];
const filled = totals.map(() => [0]);
for (let i = 0; i < count; i++) {
  for (const each of path.splice(depth[i])) last[each] = i;
  parent[i] = path.length ? path[path.length - 1] : -1;
  path.push(i);
  for (const [side, left] of offsets.entries()) {
    left[i] = filled[side][depth[i]];
    filled[side][depth[i]] += totals[side][i];
    filled[side][depth[i] + 1] = left[i];
  }
}
for (const each of path) last[each] = count;

function amount(value) {
  for (const [limit, scale, unit] of [[1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e4, 1e3, "k"]])
    if (Math.abs(value) >= limit) return `${Number((value / scale).toPrecision(4))} ${unit}`;
  return String(value);
}

function hue(text) {
  let hash = 0;
  for (const letter of text) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  return hash;
}

const change = (i) => totals[0][i] - totals[1][i];
let largest = 1;
if (totals.length > 1) for (let i = 0; i < count; i++) largest = Math.max(largest, Math.abs(change(i)));

const colours = {
  name: (i) => {
    const hash = hue(names[profile.name[i]]);
    return `hsl(${20 + (hash % 35)} ${70 + ((hash >> 6) % 20)}% ${62 + ((hash >> 11) % 14)}%)`;
  },
  difference: (i) => {
    const part = Math.sqrt(Math.abs(change(i)) / largest);
    return change(i) > 0 ? `hsl(24 90% ${88 - 30 * part}%)` : `hsl(210 ${75 * Math.ceil(part)}% ${88 - 28 * part}%)`;
  },
};

function words(i) {
  const chain = [];
  for (let each = i; each >= 0; each = parent[each]) chain.unshift(names[profile.name[each]]);
  const said = totals.map((total, side) => `${labels[side]} ${amount(total[i])} (${((100 * total[i]) / whole[side]).toFixed(2)} %)`);
  if (totals.length > 1) said.push(`difference ${change(i) > 0 ? "+" : ""}${amount(change(i))}`);
  return `${said.join(", ")}: ${chain.join(" > ")}`;
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function begin(place) {
  const colour = colours[place.dataset.colour];
  let side = Number(place.dataset.side);
  let shown = -1;
  const search = element("input", { type: "search", placeholder: "find functions", autocomplete: "off" });
  search.setAttribute("aria-label", "find functions");
  const back = element("button", { type: "button", textContent: "whole boot" });
  const sum = element("span", {});
  const said = element("p", { className: "said" });
  const calls = element("div", { className: "calls" });
  const bar = element("div", { className: "bar" }, search, back);
  if (totals.length > 1) {
    const sides = element("button", { type: "button" });
    const tell = () => (sides.textContent = `as wide as in ${labels[side]}`);
    sides.addEventListener("click", () => {
      side = (side + 1) % totals.length;
      tell();
      draw();
    });
    tell();
    bar.append(sides);
  }
  bar.append(sum);
  place.append(bar, calls, said);

  function draw() {
    const term = search.value.trim().toLowerCase();
    const hits = term ? names.map((name) => name.toLowerCase().includes(term)) : [];
    const from = shown < 0 ? 0 : offsets[side][shown];
    const room = shown < 0 ? whole[side] : totals[side][shown];
    const least = room / (2 * Math.max(320, place.clientWidth));
    const boxes = [];
    let deepest = 0, matched = 0, past = 0;
    const box = (i, left, width) => {
      const name = names[profile.name[i]];
      const each = element("div", { className: "call", textContent: width > 2 ? name : "", title: name });
      each.dataset.call = i;
      each.classList.toggle("faint", i < shown);
      each.classList.toggle("found", Boolean(hits[profile.name[i]]));
      each.style.cssText = `left:${left}%;width:${width}%;top:${depth[i] * HEIGHT}px;background:${colour(i)}`;
      deepest = Math.max(deepest, depth[i]);
      boxes.push(each);
    };
    for (let each = shown < 0 ? -1 : parent[shown]; each >= 0; each = parent[each]) box(each, 0, 100);
    for (let i = Math.max(0, shown); i < (shown < 0 ? count : last[shown]); i++) {
      if (hits[profile.name[i]] && i >= past) {
        matched += totals[side][i];
        past = last[i];
      }
      if (room && totals[side][i] >= least) box(i, (100 * (offsets[side][i] - from)) / room, (100 * totals[side][i]) / room);
    }
    calls.style.height = `${(deepest + 1) * HEIGHT}px`;
    calls.replaceChildren(...boxes);
    sum.textContent = term ? `${amount(matched)} (${((100 * matched) / (room || 1)).toFixed(2)} %)` : "";
    said.textContent = shown < 0 ? `${labels[side]}: ${amount(whole[side])} ${profile.event}` : words(shown);
  }

  const called = (event) => Number(event.target.dataset?.call ?? -1);
  calls.addEventListener("mouseover", (event) => {
    if (called(event) >= 0) said.textContent = words(called(event));
  });
  calls.addEventListener("click", (event) => {
    if (called(event) < 0) return;
    shown = called(event);
    draw();
  });
  back.addEventListener("click", () => {
    shown = -1;
    draw();
  });
  search.addEventListener("input", draw);
  draw();
}

for (const place of document.querySelectorAll(".flame")) begin(place);
