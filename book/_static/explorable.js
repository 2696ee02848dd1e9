// Explorable figures (memolib/explore.py): turns each element's packed frames into keyboard-usable sliders.
// Without this script the start frame and its sentence stand alone.
"use strict";

async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function frameAddress(data, k) {
  const { frames, mime } = data;
  if (frames.base64) return `data:${mime};base64,${frames.base64[k]}`;
  const svg = frames.index[k].map((line) => frames.lines[line]).join("\n");
  return URL.createObjectURL(new Blob([svg], { type: mime }));
}

async function explorable(figure, number) {
  const data = await unpack(figure.querySelector("script").textContent);
  const image = figure.querySelector("img");
  const sentence = figure.querySelector(".explorable-sentence");
  const addresses = [];
  const position = data.sliders.map((slider) => slider.start);

  function show() {
    const k = position.reduce((index, p, i) => index * data.sliders[i].values.length + p, 0);
    addresses[k] ??= frameAddress(data, k);
    image.src = addresses[k];
    image.alt = sentence.textContent = data.sentences[k];
  }

  data.sliders.forEach((slider, i) => {
    const row = document.createElement("div");
    row.className = "explorable-slider";
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), {
      type: "range", min: 0, max: slider.values.length - 1, step: 1, value: slider.start, id: `explorable-${number}-${i}`,
    });
    const value = document.createElement("output");
    label.htmlFor = value.htmlFor = input.id;
    label.textContent = slider.label;
    function move() {
      position[i] = Number(input.value);
      value.textContent = slider.values[position[i]];
      input.setAttribute("aria-valuetext", `${slider.label} = ${value.textContent}`);
    }
    input.addEventListener("input", () => { move(); show(); });
    move();
    row.append(label, input, value);
    figure.insertBefore(row, image);
  });
  figure.classList.add("ready");
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("figure.explorable").forEach(explorable);
});
