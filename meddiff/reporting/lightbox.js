// Pictures large, in a dialog: a click or Enter opens one, the arrow keys go through those beside it, Escape closes.
// The tiles of one case follow one another at the same place, so that the eye can compare them.
let lightbox, beside = [], shown = 0;
const show = (at) => {
  shown = (at + beside.length) % beside.length;
  const image = beside[shown], large = lightbox.querySelector("img");
  large.src = image.src;
  large.alt = image.alt;
  large.className = image.className;
  const ratio = image.naturalWidth / image.naturalHeight;
  large.style.aspectRatio = ratio;
  large.style.width = `min(92vw, ${76 * ratio}dvh)`;
  lightbox.querySelector("span").className = image.parentElement.className.replace(/thumb|frame|zoom/g, "");
  const place = beside.length > 1 ? ` (${shown + 1} of ${beside.length})` : "";
  lightbox.querySelector("figcaption").textContent = image.alt + place;
};
const made = () => {
  const dialog = document.createElement("dialog");
  dialog.className = "lightbox";
  dialog.setAttribute("aria-label", "Picture");
  dialog.innerHTML = `<figure><span></span><figcaption></figcaption></figure>
  <p><button type="button" value="-1" aria-label="Previous picture">\u2190</button>
  <button type="button" value="1" aria-label="Next picture">\u2192</button>
  <button type="button" value="0" aria-label="Close">\u00d7</button></p>`;
  dialog.querySelector("span").append(new Image());
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const step = Number(button?.value ?? 0);
    if (step) show(shown + step);
    else if (button || event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) show(shown + step);
  });
  document.body.append(dialog);
  return dialog;
};
for (const image of document.querySelectorAll(".thumb img, .tile img")) {
  const frame = image.parentElement;
  const button = Object.assign(document.createElement("button"), { type: "button", className: `zoom ${frame.className}` });
  button.append(image);
  frame.replaceWith(button);
  button.addEventListener("click", () => {
    beside = [...image.closest(".thumbs, .pair, .tiles").querySelectorAll("img")];
    lightbox ??= made();
    show(beside.indexOf(image));
    lightbox.showModal();
  });
}
