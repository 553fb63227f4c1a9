// Sorting by a click on a column's title, scroll boxes that take the keyboard only when there is something to scroll,
// and texts to copy. Without scripts the page shows the same things.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
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
const scrollable = () => {
  for (const box of document.querySelectorAll(".scroll")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};
scrollable();
addEventListener("resize", scrollable);
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not(.screen)")) part.open = true;
});
for (const button of document.querySelectorAll("button.take")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.value);
    getSelection().selectAllChildren(text);
    const done = await navigator.clipboard?.writeText(text.textContent).then(() => true, () => false);
    button.textContent = (done || document.execCommand("copy")) ? "Copied" : "Selected: copy with Ctrl+C";
  });
}
