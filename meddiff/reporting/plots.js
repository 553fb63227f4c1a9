// Figures that answer: plotly draws over the SVG of a figure once it comes into sight. The library lies in the page
// packed, and is unpacked for the first figure alone, so that the page is there at once. What cannot be unpacked, and
// what is printed, shows the SVG.
const figures = new Map();
let library;
const unpacked = () => (library ??= (async () => {
  const packed = atob(document.getElementById("plotly").textContent);
  const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
  const script = document.createElement("script");
  script.textContent = await new Response(
    new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  document.head.append(script);
  return window.Plotly;
})());

// The page's colors by their names, as they are now.
const painted = (value, style) => {
  if (typeof value === "string") {
    return /^var\(--[a-z-]+\)$/.test(value) ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
  }
  if (Array.isArray(value)) return value.map((entry) => painted(entry, style));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, painted(entry, style)]));
};

// Where the plot lies in its figure: over .plot, or over the strips of the rows, whose middles are the y of its points.
const placed = (figure) => {
  const frame = figure.getBoundingClientRect();
  const rows = [...figure.querySelectorAll(".strip")].map((strip) => strip.getBoundingClientRect());
  const box = figure.querySelector(".plot")?.getBoundingClientRect();
  const [left, top, width] = box ? [box.left, box.top, box.width]
    : [rows[0].left - 16, figure.querySelector("ul").getBoundingClientRect().top, rows[0].width + 32];
  const height = box ? box.height : rows.at(-1).bottom - top + 18;
  return { left: left - frame.left, top: top - frame.top, width, height,
    middles: box ? null : rows.map((row) => row.top + row.height / 2 - top) };
};

const draw = async (figure) => {
  const Plotly = await unpacked();
  const { host, spec } = figures.get(figure);
  const place = placed(figure);
  for (const side of ["left", "top", "width", "height"]) host.style[side] = `${place[side]}px`;
  const { data, layout } = painted(spec, getComputedStyle(document.documentElement));
  if (place.middles) {
    for (const trace of data) trace.y = trace.y.map((row) => place.middles[row]);
    layout.yaxis.range = [place.height - 18, 0];
  }
  layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom"; // a finger scrolls the page
  await Plotly.react(host, data, { ...layout, width: place.width, height: place.height }, {
    displaylogo: false, scrollZoom: false, displayModeBar: !place.middles,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]], // none that leaves the page
    toImageButtonOptions: { format: "svg", filename: figure.dataset.file },
  });
  host.querySelectorAll("svg").forEach((drawing) => drawing.setAttribute("aria-hidden", "true"));
  host.querySelectorAll(".modebar-btn").forEach((button) => { button.tabIndex = -1; });
  figure.classList.add("live");
};

// Arrow keys go from point to point and say what each is; + and - zoom about it; 0 shows all again.
const keys = (figure, host, said) => {
  let at = -1;
  const points = () => host.data.flatMap((trace, curveNumber) =>
    trace.x.map((_, pointNumber) => ({ curveNumber, pointNumber })));
  const zoom = (factor) => {
    const { curveNumber, pointNumber } = points()[Math.max(at, 0)];
    const x = host.data[curveNumber].x[pointNumber];
    const [low, high] = host.layout.xaxis.range;
    window.Plotly.relayout(host, { "xaxis.range": [x - (x - low) * factor, x + (high - x) * factor] });
  };
  host.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) {
      const all = points();
      at = at < 0 && step < 0 ? all.length - 1 : (at + step + all.length) % all.length;
      window.Plotly.Fx.hover(host, [all[at]]);
      const told = host.data[all[at].curveNumber].customdata[all[at].pointNumber].replaceAll("<br>", ", ");
      said.textContent = new DOMParser().parseFromString(told, "text/html").body.textContent;
    } else if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 0.5 : 2);
    else if (event.key === "0" || event.key === "Escape") draw(figure);
    else return;
    event.preventDefault();
  });
  host.addEventListener("blur", () => { at = -1; window.Plotly.Fx.unhover(host); });
};

const begin = (figure) => {
  const host = Object.assign(document.createElement("div"), { className: "interactive", tabIndex: 0 });
  const said = Object.assign(document.createElement("p"), { className: "said" });
  const title = figure.querySelector("figcaption").textContent.trim().replace(/\s+/g, " ");
  host.setAttribute("role", "application");
  host.setAttribute("aria-label", `${title}. Arrow keys go through the points, plus and minus zoom, 0 shows all.`);
  said.setAttribute("aria-live", "polite");
  figure.append(host, said);
  figures.set(figure, { host, spec: JSON.parse(figure.dataset.plot) });
  keys(figure, host, said);
  let width = 0;
  new ResizeObserver(() => {
    if (figure.clientWidth && figure.clientWidth !== width) draw(figure);
    width = figure.clientWidth;
  }).observe(figure);
};

if ("DecompressionStream" in window) {
  const seen = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      seen.unobserve(target);
      begin(target);
    }
  }, { rootMargin: "300px" });
  document.querySelectorAll("figure[data-plot]").forEach((figure) => seen.observe(figure));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => [...figures.keys()].forEach(draw));
}
