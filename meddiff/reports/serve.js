"use strict";
// The page of `serve` and `watch`. Answers come as lines of JSON; names in them are other people's and stay text.
(() => {
  const byId = (id) => document.getElementById(id);
  const page = JSON.parse(byId("page").textContent);
  const made = (tag, text = "", name = "") => Object.assign(document.createElement(tag), { textContent: text, className: name });
  const say = (text) => { byId("status").textContent = text; };
  const complain = (text) => byId("problems").append(made("p", text, "problem"));

  async function ask(place, body, take) {
    const answer = await fetch(place, { method: "POST", body });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const reader = answer.body.getReader(), decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      const lines = (rest += decoder.decode(value, { stream: !done })).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        const one = JSON.parse(line);
        if (one.error) throw new Error(one.error);
        take(one);
      }
      if (done) return;
    }
  }

  async function work(doing, place, body, take) {
    const since = Date.now(), button = byId("go");
    const tick = () => say(`${doing()} ${Math.round((Date.now() - since) / 1000)} s`);
    const clock = setInterval(tick, 1000);
    byId("problems").replaceChildren();
    button.disabled = true;
    tick();
    try {
      await ask(place, body, take);
      say(`Done in ${((Date.now() - since) / 1000).toFixed(1)} s.`);
    } catch (error) {
      say("");
      complain(error instanceof TypeError ? "The server does not answer: was it stopped?" : error.message);
    } finally {
      clearInterval(clock);
      button.disabled = false;
    }
  }

  // Segmentation ------------------------------------------------------------------------------------------------

  function masks() {
    const answers = [], drop = byId("drop");
    let dropped = [], shown = null;

    const chosen = () => [...dropped, ...byId("files").files, ...byId("folder").files];
    const nameOf = (file) => file.path || file.webkitRelativePath || file.name;

    function body(files) {
      const asked = { files: files.map((file) => ({ name: nameOf(file), size: file.size })) };
      for (const name of ["members", "steps"]) if (byId(name)) asked[name] = Number(byId(name).value);
      return new Blob([JSON.stringify(asked), "\n", ...files]);
    }

    async function below(entry, path, files) { // of a folder that is dropped
      if (entry.isFile) {
        const file = await new Promise((take, refuse) => entry.file(take, refuse));
        files.push(Object.assign(file, { path: path + file.name }));
        return;
      }
      const reader = entry.createReader();
      for (;;) {
        const some = await new Promise((take, refuse) => reader.readEntries(take, refuse));
        if (!some.length) return;
        for (const one of some) await below(one, `${path}${entry.name}/`, files);
      }
    }

    function send() {
      const files = chosen();
      if (!files.length) { say("Choose an image first."); byId("files").focus(); return; }
      const size = files.reduce((sum, file) => sum + file.size, 0);
      if (size > page.largest) {
        say(`These are ${Math.round(size / 2 ** 20)} MB; at most ${page.largest >> 20} MB are taken at a time.`);
        return;
      }
      let expected = 0, done = 0;
      const doing = () => (expected ? `Segmenting ${Math.min(done + 1, expected)} of ${expected} …` : "Sending …");
      work(doing, "segment", body(files), (line) => {
        if (line.inputs) {
          expected = Math.min(line.inputs, page.most);
          if (line.inputs > page.most) complain(`${line.inputs} images were sent; the first ${page.most} are segmented.`);
          return;
        }
        done += 1;
        if (line.problem) { complain(`${line.name}: ${line.problem}`); return; }
        add(line);
      }).then(() => { dropped = []; });
    }

    function add(answer) {
      const button = made("button", answer.name);
      button.type = "button";
      button.addEventListener("click", () => open(answer, button));
      answers.push(answer);
      byId("answers").append(button);
      byId("answers").hidden = false;
      open(answer, button);
    }

    const term = (name, value) => [made("dt", name), value instanceof Node ? value : made("dd", value)];

    function open(answer, button) {
      shown = answer;
      for (const other of byId("answers").children) other.setAttribute("aria-pressed", String(other === button));
      byId("look").hidden = false;
      byId("stage").style.aspectRatio = `${answer.width} / ${answer.height}`;
      byId("stage").style.maxWidth = `${40 * answer.width / answer.height}rem`;
      byId("member").max = answer.members;
      byId("of-members").dataset.some = answer.members > 1;
      byId("member").value = 0;
      byId("plane").max = answer.planes - 1;
      byId("plane").value = answer.first;
      byId("of-planes").hidden = answer.planes < 2;
      byId("unlike").hidden = !(answer.unlike && answer.unlike.length);
      byId("unlike").textContent = `Unlike the training images, do not rely on this mask: ${(answer.unlike || []).join("; ")}.`;
      byId("save").href = `answers/${answer.id}/file`;
      const sizes = answer.sizes.flatMap(({ name, color, size }) => {
        const value = made("dd"), box = made("i", "", "box");
        box.style.background = color;
        value.append(box, ` ${size}`);
        return term(name, value);
      });
      byId("facts").replaceChildren(
        ...term("Image", answer.name), ...sizes,
        ...term("Uncertainty", `${answer.uncertainty.toFixed(3)} (0 is sure, 1 is not)`),
        ...term("Like training", answer.unlike === null ? "not known: the run cannot tell" : answer.unlike.length ? "no" : "yes"),
        ...term("Took", `${answer.seconds} s`), ...answer.notes.flatMap((note) => term("Note", note)));
      draw();
    }

    function draw() {
      const layer = document.querySelector("[name=layer]:checked").value;
      const member = Number(byId("member").value), plane = Number(byId("plane").value);
      const place = (name) => `answers/${shown.id}/${name}/${plane}.png`;
      byId("of-members").hidden = layer !== "mask" || byId("of-members").dataset.some !== "true";
      byId("whose").textContent = member ? `member ${member} of ${shown.members}` : "the answer of all";
      byId("which").textContent = `${plane + 1} of ${shown.planes}`;
      byId("scale").hidden = !["entropy", "deviation"].includes(layer);
      byId("most").textContent = layer === "entropy" ? "1: as likely one class as another" : "0.5: the members contradict each other";
      byId("below").src = place("image");
      byId("below").alt = `${shown.name}${shown.planes > 1 ? `, slice ${plane + 1}` : ""}`;
      byId("above").hidden = layer === "none";
      byId("above").alt = layer === "none" ? "" : layer === "mask" ? `Mask, ${byId("whose").textContent}` : `Map of the ${layer}`;
      if (layer !== "none") byId("above").src = place(layer === "mask" ? `mask-${member}` : layer);
      for (const id of ["below", "above"]) byId(id).classList.toggle("pixelated", shown.coarse);
    }

    byId("send").addEventListener("submit", (event) => { event.preventDefault(); send(); });
    byId("layers").addEventListener("change", draw);
    for (const id of ["member", "plane"]) byId(id).addEventListener("input", draw);
    for (const name of ["dragover", "dragleave", "drop"]) drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
    });
    drop.addEventListener("drop", async (event) => {
      const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
      dropped = [];
      if (entries.every(Boolean)) for (const entry of entries) await below(entry, "", dropped);
      else dropped = [...event.dataTransfer.files];
      send();
    });
  }

  // Drawing -----------------------------------------------------------------------------------------------------

  function images() {
    byId("send").addEventListener("submit", (event) => {
      event.preventDefault();
      const label = byId("label"), attributes = {};
      for (const field of document.querySelectorAll("[data-attribute]")) {
        if (field.value !== "") attributes[field.dataset.attribute] = field.type === "number" ? Number(field.value) : field.value;
      }
      const untold = label.selectedOptions[0].hasAttribute("data-none");
      const asked = { label: untold ? null : label.value, attributes };
      for (const name of ["count", "seed", "guidance", "steps"]) asked[name] = Number(byId(name).value);
      let done = 0;
      byId("drawn").replaceChildren();
      byId("save").hidden = true;
      work(() => `Drawing ${Math.min(done + 1, asked.count)} of ${asked.count} …`, "draw", JSON.stringify(asked), (line) => {
        if (line.archive) { byId("save").hidden = false; return; }
        done += 1;
        const figure = made("figure"), image = made("img"), caption = made("figcaption", `seed ${line.seed} `);
        Object.assign(image, { src: line.picture, alt: `Synthetic image of seed ${line.seed}`, className: "pixelated" });
        caption.append(Object.assign(made("a", "save"), { href: line.file, download: line.name }));
        figure.append(image, caption);
        byId("drawn").append(figure);
      });
    });
  }

  // A run while it goes on --------------------------------------------------------------------------------------

  function watch() {
    let former = "";

    function figure({ title, aside, plot, axis }) { // drawn by the server, whose names are escaped
      const drawing = made("figure", "", "drawing plot"), caption = made("figcaption", `${title} `);
      caption.append(made("span", aside, "aside"));
      drawing.append(caption);
      for (const [name, drawn] of [["strip", plot], ["axis", axis]]) {
        const part = made("div", "", name);
        part.innerHTML = drawn;
        drawing.append(part);
      }
      return drawing;
    }

    function network({ name, step, steps, line, figures }) {
      const section = made("section"), bar = made("progress");
      Object.assign(bar, { max: steps, value: step });
      bar.setAttribute("aria-label", `Training of ${name}`);
      section.append(made("h2", name), bar, made("p", line), ...figures.map(figure));
      return section;
    }

    function stage({ name, does, took }) {
      const item = made("li");
      item.append(made("span", took ? "✓" : "·"), made("span", name), made("span", took ? `${does}; ${took}` : does, "detail"));
      return item;
    }

    function draw(state) {
      byId("does").textContent = state.does || "";
      say(state.state);
      byId("headline").hidden = !state.headline;
      byId("headline").textContent = state.headline || "";
      byId("report").hidden = !state.report;
      byId("stages").replaceChildren(...(state.stages || []).map(stage));
      byId("networks").replaceChildren(...(state.networks || []).map(network));
      const sheets = byId("sheets"), kept = sheets.querySelector("div"), names = state.samples || [];
      sheets.hidden = !names.length;
      if (kept.dataset.names === names.join()) return;
      kept.dataset.names = names.join();
      kept.replaceChildren(...names.map((name) => {
        const sheet = made("figure"), step = Number(name.match(/\d+/)[0]);
        sheet.append(made("figcaption", `step ${step}`), Object.assign(made("img"), { src: `samples/${name}`, alt: `Samples at step ${step}` }));
        return sheet;
      }));
    }

    async function look() {
      let wait = 2000;
      try {
        const answer = await fetch("state"), text = await answer.text();
        if (!answer.ok) throw new Error(text);
        if (text !== former) draw(JSON.parse(text));
        former = text;
        if (JSON.parse(text).ended) wait = 30000;
      } catch (error) {
        say(error instanceof TypeError ? "The server does not answer: was it stopped? What is shown is the last that it said." : error.message);
        former = "";
        wait = 5000;
      }
      setTimeout(look, wait);
    }
    look();
  }

  ({ masks, images, watch })[page.kind]();
})();
