// Tables that sort, figures and pictures that answer to pointer and keys, texts to copy. Without it the page shows the same.
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const made = (tag, properties) => Object.assign(document.createElement(tag), properties);

for (const table of all("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  if (body.rows.length > 1) heads.forEach((head, index) => {
    const button = made("button", { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => row.cells[index].dataset.sort;
      const compare = (a, b) => {
        if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
        const difference = Number(key(a)) - Number(key(b));
        const order = Number.isNaN(difference) ? key(a).localeCompare(key(b), "en", { numeric: true }) : difference;
        return descending ? -order : order;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}

// A figure tells of one mark at a time: the nearest to the pointer, or the one that the arrow keys have come to.
for (const figure of all(".drawing")) {
  const marks = all(".mark", figure), said = made("output", { className: "readout", hidden: true });
  let at = 0;
  const tell = (mark) => {
    marks[at].classList.remove("at");
    marks[at].tabIndex = -1;
    at = marks.indexOf(mark);
    mark.classList.add("at");
    mark.tabIndex = 0;
    said.textContent = mark.getAttribute("aria-label");
    said.hidden = false;
    const dot = (mark.querySelector("circle") ?? mark).getBoundingClientRect(), frame = figure.getBoundingClientRect();
    const left = dot.left + (dot.width - said.offsetWidth) / 2 - frame.left;
    said.style.left = `${Math.max(0, Math.min(left, frame.width - said.offsetWidth))}px`;
    said.style.top = `${dot.top - frame.top - said.offsetHeight - 6}px`;
  };
  const end = () => { marks[at]?.classList.remove("at"); said.hidden = true; };
  marks.forEach((mark, index) => {
    const title = mark.querySelector("title");
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", title.textContent);
    title.remove(); // the readout says it
    mark.tabIndex = index ? -1 : 0;
    mark.addEventListener("focus", () => tell(mark));
  });
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const to = { Home: 0, End: marks.length - 1 }[event.key] ?? (step && (at + step + marks.length) % marks.length);
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    marks[to].focus();
    event.preventDefault();
  });
  figure.addEventListener("pointermove", (event) => {
    const strip = event.target.closest(".strip") ?? event.target.closest("li")?.querySelector(".strip");
    const away = (mark) => {
      const box = (mark.querySelector("circle") ?? mark).getBoundingClientRect();
      const out = (value, low, high) => Math.max(low - value, 0, value - high);
      return Math.hypot(out(event.clientX, box.left, box.right), out(event.clientY, box.top, box.bottom));
    };
    const near = strip && all(".mark", strip).map((mark) => [away(mark), mark]).sort((a, b) => a[0] - b[0])[0];
    if (near) tell(near[1]);
    else end();
  });
  figure.addEventListener("pointerleave", end);
  figure.addEventListener("focusout", end);
  figure.append(said);
}

// Pictures large, in a dialog: a click or Enter opens one, the arrow keys go through those beside it, Escape closes.
// The tiles of one case follow one another at the same place, so that the eye can compare them.
const box = made("dialog", { className: "lightbox", ariaLabel: "Picture" });
box.innerHTML = `<figure><span></span><figcaption></figcaption></figure>
  <p><button type="button" value="-1" aria-label="Previous picture">\u2190</button>
  <button type="button" value="1" aria-label="Next picture">\u2192</button>
  <button type="button" value="0" aria-label="Close">\u00d7</button></p>`;
let beside = [], shown = 0;
const show = (index) => {
  shown = (index + beside.length) % beside.length;
  const picture = beside[shown].firstElementChild, large = picture.cloneNode(true), frame = box.querySelector("span");
  all("[id]", large).forEach((part) => part.removeAttribute("id"));
  const ratio = picture.getAttribute("width") / picture.getAttribute("height");
  large.style.width = `min(92vw, ${76 * ratio}dvh)`;
  frame.className = beside[shown].className.replace(/zoom|picture/g, "");
  frame.replaceChildren(large);
  const place = beside.length > 1 ? ` (${shown + 1} of ${beside.length})` : "";
  box.querySelector("figcaption").textContent = (picture.alt ?? picture.getAttribute("aria-label")) + place;
};
box.addEventListener("click", (event) => {
  const button = event.target.closest("button"), step = Number(button?.value ?? 0);
  if (step) show(shown + step);
  else if (button || event.target === box) box.close();
});
box.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step) show(shown + step);
});
document.body.append(box);
for (const frame of all(".picture")) {
  const button = made("button", { type: "button", className: `zoom ${frame.className}` });
  button.append(...frame.childNodes);
  frame.replaceWith(button);
  button.addEventListener("click", () => {
    beside = all(".zoom", button.closest(".beside"));
    show(beside.indexOf(button));
    box.showModal();
  });
}

const scrollable = () => all(".scroll").forEach((part) => {
  if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
  else part.removeAttribute("tabindex");
});
scrollable();
addEventListener("resize", scrollable);
addEventListener("toggle", scrollable, true);
addEventListener("beforeprint", () => all("details:not(.screen)").forEach((part) => { part.open = true; }));
for (const button of all("button.take")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.value);
    getSelection().selectAllChildren(text);
    const done = await navigator.clipboard?.writeText(text.textContent).then(() => true, () => false);
    button.textContent = (done || document.execCommand("copy")) ? "Copied" : "Selected: copy with Ctrl+C";
  });
}
