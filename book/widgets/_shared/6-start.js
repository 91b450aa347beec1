// The one global name. A widget's script calls `vaerecWidgets.register(name, {start, ...})`.

const kept = {}, registered = {}, running = {};

// The picture that stands for a widget that cannot run, and why.
function giveUp(figure, reason) {
  const image = html("img", {class: "widget-still", src: figure.dataset.still, alt: figure.dataset.alt});
  const note = html("p", {class: "widget-trouble", role: "alert"}, `This is a still picture: ${reason}.`);
  figure.querySelector(".widget-body").replaceChildren(note, image);
}

// The data of a widget, parsed: {file name: value}. Throws if a file is damaged.
function dataOf(name) {
  return Object.fromEntries(Object.entries(kept[name].data).map(([file, text]) => {
    try { return [file, JSON.parse(text)]; }
    catch { throw new Error(`the file ${file}.json is damaged`); }
  }));
}

function workerOf(name) {
  const source = new Blob([kept[name].worker], {type: "text/javascript"});
  return new Worker(URL.createObjectURL(source));
}

function run(figure) {
  const name = figure.dataset.widget;
  const body = figure.querySelector(".widget-body");
  let fit = () => {};
  if (figure === alone) fit = present(figure);
  presentLink(figure);
  try {
    running[name] = registered[name].start(body, {data: () => dataOf(name), worker: () => workerOf(name)});
    figure.dataset.ready = "yes";
  } catch (error) {
    console.warn(`widget ${name}:`, error);
    giveUp(figure, error.message);
  }
  fit();
}

let alone = null;

function register(name, parts) {
  registered[name] = parts;
  for (const figure of document.querySelectorAll(`figure[data-widget="${name}"]`)) run(figure);
}

const wanted = presented();
if (wanted !== undefined) {
  alone = document.querySelector(wanted ? `figure[data-widget="${CSS.escape(wanted)}"]` : "figure[data-widget]");
}

window.vaerecWidgets = {
  keep: (name, parts) => { kept[name] = parts; }, register, registered, running, dataOf,
  fill, html, svg, button, number, count, calm, checksum, bytesOf, weights, speaker, glide, slide, eachFrame,
};
