// The right column: the top ten, or ten lists of ten tastes side by side.

function makeList(state, changed) {
  const {films} = state;
  const heading = html("span");
  const rows = Array.from({length: TOP}, (_, rank) => button("", () => {
    state.toggle(shown[rank]);
    changed();
  }, {class: "entry"}));
  const single = html("ol", {class: "top"}, ...rows.map((row) => html("li", {}, row)));
  const columns = Array.from({length: SAMPLES}, (_, s) => button("", () => {
    state.taste = [...state.samples[s]];
    changed("taste");
  }, {class: "column"}));
  const grid = html("div", {class: "ten", role: "group", "aria-label": "Ten lists, one a column"}, ...columns);
  const verdict = html("p", {class: "verdict"});
  const node = html("section", {class: "list", "aria-label": "Recommended"},
    html("p", {class: "heading"}, html("span", {class: "step"}, "3"), heading), single, grid, verdict);
  let shown = [];

  function draw(animate) {
    const many = state.samples !== null && state.taste === null;
    single.hidden = many;
    grid.hidden = !many;
    heading.textContent = many ? "Ten tastes, ten lists" : "Watch next";
    if (many) drawLists(); else drawList(animate);
    verdict.replaceChildren(...(many ? spread() : judged()));
  }

  function drawList(animate) {
    const list = state.list();
    const from = list.map((film) => shown.indexOf(film));
    shown = list;
    rows.forEach((row, rank) => drawRow(row, list[rank], rank));
    if (animate) slide(rows, from);
  }

  function drawRow(row, film, rank) {
    const hit = state.isFavourite(film), title = films.titles[film];
    fill(row, {title, "aria-label": `${rank + 1}. ${title}, ${films.genres[films.genre[film]]}${
      hit ? ", hidden favourite" : ""}. Watch it`},
      html("span", {class: "rank"}, String(rank + 1)), html("span", {class: "film-title"}, withoutYear(title)),
      html("span", {class: "tick", "aria-hidden": "true"}, hit ? "✓" : ""), pill(films, film));
  }

  function drawLists() {
    state.samples.forEach((taste, s) => {
      const list = state.list(taste);
      fill(columns[s], {"aria-label": `List ${s + 1}: ${mixture(films, list)}. Show it`},
        html("span", {class: "rank"}, String(s + 1)), ...list.map((film) => pill(films, film, 2)));
    });
  }

  function spread() {
    const different = new Set(state.samples.flatMap((taste) => state.list(taste))).size;
    return [html("strong", {}, `${different} different films`),
      " in ten lists of ten: the wider the cloud, the more. Click a list to read it."];
  }

  function judged() {
    if (!state.user) {
      return [state.watched.length || state.taste ? "Click one to add it to what was watched."
        : "Nothing is known yet, so these are simply the most popular films."];
    }
    const hits = state.hits(shown), usual = state.hits(state.popular());
    const between = state.user.name === "Ada" && state.size === 2 && !state.taste && hits < 3;
    return [html("strong", {}, `✓ ${hits} of 10`), ` are hidden favourites of ${state.user.name} (most popular films: ${usual}).`,
      between ? " Two numbers have no place for comedy and noir at once: try 16." : ""];
  }

  return {node, draw};
}
