"use strict";
// One image at a time, rated 1 to 6; what was answered is kept in this browser until it is saved as CSV.
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);
  const images = read("images"), columns = read("columns");
  const study = document.body.dataset.study, place = `meddiff-reader-study-${study}`;
  let kept = { reader: "", answers: {}, at: 0 };
  let since = Date.now();

  try { kept = JSON.parse(localStorage.getItem(place)) || kept; } catch { /* a browser that keeps nothing */ }
  const keep = () => { try { localStorage.setItem(place, JSON.stringify(kept)); } catch { /* the same */ } };
  const show = (name) => ["start", "reading", "end"].forEach((id) => { byId(id).hidden = id !== name; });
  const rated = () => Object.keys(kept.answers).length;

  function draw() {
    const number = kept.at + 1, { picture, label } = images[kept.at], answer = kept.answers[number];
    byId("picture").src = picture;
    byId("where").textContent = `Image ${number} of ${images.length}${label ? ` (${label})` : ""}`;
    byId("progress").value = rated();
    document.querySelectorAll("[data-rating]").forEach((button) => {
      button.setAttribute("aria-pressed", String(Boolean(answer) && Number(button.dataset.rating) === answer.rating));
    });
    since = Date.now();
    show("reading");
  }
  function finish() {
    const left = images.length - rated();
    byId("done").textContent = left ? `${left} images have no answer yet.` : "That was the last image. Thank you!";
    show("end");
  }
  function go(step) {
    kept.at += step;
    if (kept.at >= images.length) { kept.at = images.length - 1; keep(); finish(); return; }
    kept.at = Math.max(0, kept.at);
    keep();
    draw();
  }
  function rate(rating) {
    const number = kept.at + 1, before = kept.answers[number];
    const seconds = (before ? before.seconds : 0) + (Date.now() - since) / 1000;
    kept.answers[number] = { rating, seconds: Math.round(seconds * 10) / 10 };
    go(1);
  }
  const cell = (value) => `"${String(value).replaceAll('"', '""')}"`;
  function save() {
    const lines = Object.entries(kept.answers).map(([number, { rating, seconds }]) =>
      [study, cell(kept.reader), number, rating, seconds].join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([[columns.join(","), ...lines].join("\n") + "\n"], { type: "text/csv" }));
    link.download = `answers_${kept.reader.replace(/[^\p{L}\p{N}_-]+/gu, "_")}.csv`;
    link.click();
  }

  byId("reader").value = kept.reader;
  byId("begin").addEventListener("click", () => {
    kept.reader = byId("reader").value.trim();
    if (!kept.reader) { byId("reader").focus(); return; }
    keep();
    draw();
  });
  document.querySelectorAll("[data-rating]").forEach((button) =>
    button.addEventListener("click", () => rate(Number(button.dataset.rating))));
  byId("back").addEventListener("click", () => go(-1));
  byId("next").addEventListener("click", () => go(1));
  byId("review").addEventListener("click", () => {
    const open = images.findIndex((_, at) => !kept.answers[at + 1]);
    kept.at = open < 0 ? 0 : open;
    draw();
  });
  byId("save").addEventListener("click", save);
  document.addEventListener("keydown", (event) => {
    if (byId("reading").hidden) return;
    if (event.key >= "1" && event.key <= "6") rate(Number(event.key));
    else if (event.key === "ArrowLeft") go(-1);
    else if (event.key === "ArrowRight") go(1);
  });
})();
