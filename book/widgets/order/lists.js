// One model's list, what it is made of, and how much of it the order has changed.

const MODELS = {
  bag: {name: "MVAE", how: "sees a bag of films"},
  sequence: {name: "SVAE", how: "reads film after film"},
};

function makeList(state, model) {
  const {films} = state;
  const rows = Array.from({length: TOP}, () => html("li", {class: "entry"}));
  const share = html("p", {class: "kept"});
  const made = html("p", {class: "made"});
  const node = html("section", {class: `model ${model}`, "aria-label": `The list of ${MODELS[model].name}`},
    html("p", {class: "heading"}, html("span", {class: "name"}, MODELS[model].name), ` ${MODELS[model].how}`), share,
    html("ol", {}, ...rows), made);
  let shown = [];

  function draw(animate) {
    const list = state.list(model), kept = state.kept(model);
    const from = list.map((film) => shown.indexOf(film));
    const different = shown.length > 0 && from.some((place, rank) => place !== rank);
    shown = list;
    rows.forEach((row, rank) => fill(row, {title: films.titles[list[rank]]},
      html("span", {class: "rank"}, String(rank + 1)),
      html("span", {class: "film-title"}, withoutYear(films.titles[list[rank]])), pill(films, list[rank])));
    if (animate && different) slide(rows, from);
    fill(share, {}, html("span", {}, html("strong", {}, `${kept} of 10`), " as in the true order"),
      html("span", {class: "meter", "aria-hidden": "true"}, ...rows.map((_, i) =>
        html("span", {class: i < kept ? "on" : ""}))));
    made.textContent = mixture(films, list);
  }

  const said = () => `${MODELS[model].name}: ${mixture(films, state.list(model))}.`;

  return {node, draw, said};
}
