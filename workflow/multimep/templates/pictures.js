// Pictures: every plot can be saved as SVG or PNG as it looks here; on paper everything that is folded is open.
const STYLED = ["fill", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-dasharray", "opacity", "paint-order",
  "font-family", "font-size", "font-weight", "text-anchor", "vector-effect", "transform", "transform-box", "transform-origin"];

// The picture as the text of a file of its own: the page's styles are written into it.
function standalone(picture) {
  const copy = picture.cloneNode(true), from = [...picture.querySelectorAll("*")], to = [...copy.querySelectorAll("*")];
  from.forEach((element, place) => {
    const look = getComputedStyle(element);
    to[place].removeAttribute("class");
    to[place].setAttribute("style", STYLED.filter((name) => look.getPropertyValue(name) !== "none" || ["fill", "stroke"].includes(name)).map((name) => `${name}:${look.getPropertyValue(name)}`).join(";"));
  });
  for (const mark of copy.querySelectorAll("[data-title]")) {
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = mark.dataset.title;
    mark.append(title);
  }
  const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  paper.setAttribute("width", "100%");
  paper.setAttribute("height", "100%");
  paper.setAttribute("fill", getComputedStyle(document.body).backgroundColor);
  copy.prepend(paper);
  for (const name of ["tabindex", "class", "data-quiet"]) copy.removeAttribute(name);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
}
function raster(text, width, height) {
  return new Promise((done, failed) => {
    const image = new Image();
    image.onerror = () => failed(new Error("the picture could not be drawn"));
    image.onload = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [2 * width, 2 * height];
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob(done, "image/png");
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  });
}
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
for (const plot of document.querySelectorAll(".plot")) {
  const tools = document.createElement("p");
  tools.className = "tools";
  const shown = () => [...plot.querySelectorAll("svg")].find((one) => !one.closest("[hidden]"));
  const name = (one) => one.getAttribute("aria-label").split(/[:;.]/)[0].trim().replace(/[^\w+-]+/g, "_").slice(0, 60) || "figure";
  for (const kind of ["SVG", "PNG"]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = kind;
    button.dataset.save = kind.toLowerCase();
    button.setAttribute("aria-label", `Save as ${kind}: ${plot.dataset.name || name(plot.querySelector("svg"))}`);
    button.addEventListener("click", async () => {
      const picture = shown(), text = standalone(picture), size = picture.viewBox.baseVal;
      const blob = kind === "SVG" ? new Blob([text], { type: "image/svg+xml" }) : await raster(text, size.width, size.height);
      save(blob, `${name(picture)}.${kind.toLowerCase()}`);
    });
    tools.append(button);
  }
  plot.append(tools);
}

let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const one of folded) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of folded) one.open = false;
});
