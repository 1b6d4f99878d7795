// Plots: the value under the pointer, or under the arrow keys, is told beside it and to screen readers.
const tip = document.createElement("div");
tip.id = "tip";
tip.setAttribute("role", "status");
tip.setAttribute("aria-live", "polite");
document.body.append(tip);
const minus = (value) => value === null || Number.isNaN(value) ? "\u2013" : String(value).replace("-", "\u2212");

// Points of a plot in its own coordinates, [x, y, text], found once.
const known = new WeakMap();
function pointsOf(picture) {
  if (!known.has(picture)) {
    const panel = picture.closest("[data-plot]"), kind = panel && panel.dataset.plot;
    known.set(picture, kind === "map" ? mapPoints(valuesOf(panel).map) : kind === "cloud" ? cloudPoints(valuesOf(panel).cloud) : marks(picture));
  }
  return known.get(picture);
}
const valuesOf = (panel) => JSON.parse(panel.closest("details").querySelector("script[type='application/json']").textContent);

function marks(picture) {
  return [...picture.querySelectorAll("circle, rect, path")].filter((mark) => mark.querySelector("title")).flatMap((mark) => {
    const text = mark.querySelector("title").textContent, box = mark.getBBox();
    return mark.tagName === "path" ? [] : [[box.x + box.width / 2, box.y + box.height / 2, text]];
  });
}
function cloudPoints(cloud) {
  const at = ([low, high, start, stop], value) => start + (value - low) / (high - low) * (stop - start);
  return cloud.names.split(" ").map((name, row) => [
    at(cloud.x, cloud.predicted[row]), at(cloud.y, cloud.measured[row]),
    `${name}: measured ${minus(cloud.measured[row])}, predicted ${minus(cloud.predicted[row])}`,
  ]);
}
function mapPoints(map) {
  const [perBand, width, height, left, top, step] = map.grid, rows = map.rows.length;
  return map.cells.map((cell, place) => {
    const site = Math.floor(cell / rows), row = cell % rows, band = Math.floor(site / perBand);
    const std = map.std ? ` \u00b1 ${minus(map.std[place])}` : "";
    return [
      left + width * (site % perBand + .5), top + step * band + height * (row + .5),
      `${map.residues[site]}${map.positions[site]}${map.rows[row]}: measured ${minus(map.measured[place])}, predicted ${minus(map.predicted[place])}${std}`,
    ];
  });
}

let marker = null;
function tell(picture, [x, y, text]) {
  if (!marker || marker.parentNode !== picture) {
    if (marker) marker.remove();
    marker = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    marker.setAttribute("class", "marker");
    marker.setAttribute("r", 6);
    picture.append(marker);
  }
  marker.setAttribute("cx", x);
  marker.setAttribute("cy", y);
  if (tip.textContent !== text) tip.textContent = text;
  const place = marker.getBoundingClientRect(), size = tip.getBoundingClientRect();
  const beside = Math.min(Math.max(8, place.left + 14), document.documentElement.clientWidth - size.width - 8);
  const above = place.top - size.height - 8;
  tip.style.transform = `translate(${beside}px, ${above > 4 ? above : place.bottom + 8}px)`;
  tip.classList.add("shown");
}
function hush() {
  tip.classList.remove("shown");
  tip.textContent = "";
  if (marker) marker.remove();
  marker = null;
}
// The nearest point; one within `reach` pixels on the screen, so that empty paper says nothing.
function nearest(points, x, y, reach) {
  let found = -1, least = reach * reach;
  points.forEach(([right, down], place) => {
    const far = (right - x) ** 2 + (down - y) ** 2;
    if (far < least) [found, least] = [place, far];
  });
  return found;
}
// The next point in a direction: one step along it counts as much as a quarter of a step aside.
function next(points, from, [right, down]) {
  let found = from, least = Infinity;
  const [x, y] = points[from];
  points.forEach((point, place) => {
    const along = (point[0] - x) * right + (point[1] - y) * down, aside = Math.abs((point[0] - x) * down) + Math.abs((point[1] - y) * right);
    if (along > .01 && along + 4 * aside < least) [found, least] = [place, along + 4 * aside];
  });
  return found;
}
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
for (const picture of document.querySelectorAll(".plot svg")) {
  let here = -1;
  picture.setAttribute("tabindex", "0");
  picture.setAttribute("aria-description", "Arrow keys step through the values.");
  const follow = (event) => {
    if (picture.querySelector("title") && !picture.dataset.quiet) {
      pointsOf(picture); // reads the titles, which would show a second time
      for (const title of picture.querySelectorAll("title")) title.parentNode.dataset.title = title.textContent, title.remove();
      picture.dataset.quiet = "yes";
    }
    const matrix = picture.getScreenCTM().inverse(), at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
    here = nearest(pointsOf(picture), at.x, at.y, 9 * matrix.a);
    const line = event.target.closest("[data-title]");
    if (here >= 0) tell(picture, pointsOf(picture)[here]);
    else if (line && line !== marker) tell(picture, [at.x, at.y, line.dataset.title]);
    else hush();
  };
  picture.addEventListener("pointermove", follow);
  picture.addEventListener("pointerdown", follow);
  picture.addEventListener("pointerleave", hush);
  picture.addEventListener("blur", hush);
  picture.addEventListener("keydown", (event) => {
    const points = pointsOf(picture);
    if (event.key === "Escape") hush();
    if (!ARROWS[event.key] || !points.length) return;
    event.preventDefault();
    here = here < 0 ? 0 : next(points, here, ARROWS[event.key]);
    tell(picture, points[here]);
  });
}

// Of the three heat maps of a dataset the chosen one is shown; on paper all are.
for (const box of document.querySelectorAll(".switch")) {
  const maps = box.closest(".maps").querySelectorAll("[data-map]");
  const show = () => {
    for (const map of maps) map.hidden = map.dataset.map !== box.querySelector("input:checked").value;
  };
  box.hidden = false;
  box.addEventListener("change", show);
  show();
}
