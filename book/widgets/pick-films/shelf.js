// The left column: a chip for each genre, and a drawer with six of its films.

function makeShelf(state, changed) {
  const {films} = state;
  const chips = films.genres.map((name, genre) => button("", () => { state.open(genre); changed(); },
    {class: `chip genre-${genre}`}));
  const field = html("input", {type: "search", "aria-label": "Search all films by title", placeholder: "Search",
    autocomplete: "off"});
  field.addEventListener("input", () => { state.search(field.value); changed(); });
  const back = button("‹", () => { state.turn(-1); changed(); }, {"aria-label": "Six films back"});
  const on = button("›", () => { state.turn(1); changed(); }, {"aria-label": "Six films on"});
  const page = html("span", {class: "page"});
  const rows = Array.from({length: DRAWER}, (_, i) => button("", () => {
    state.toggle(state.onShelf()[i]);
    changed();
  }, {class: "film"}));

  const node = html("section", {class: "shelf", "aria-label": "Films to pick"},
    html("p", {class: "heading"}, html("span", {class: "step"}, "1"), "Films watched", html("output")),
    html("div", {class: "chips"}, ...chips),
    html("div", {class: "finder"}, field, back, page, on),
    html("div", {class: "drawer"}, ...rows));

  function draw() {
    node.querySelector("output").textContent = state.watched.length || "click one";
    chips.forEach((chip, genre) => {
      const n = state.watchedOf(genre);
      fill(chip, {"aria-pressed": String(!state.words && genre === state.genre),
        "aria-label": `${films.genres[genre]}, ${n} watched`},
        html("span", {class: "dot"}), short(films.genres[genre]), html("span", {class: "n"}, n ? String(n) : ""));
    });
    if (field.value !== state.words) field.value = state.words;
    page.textContent = `${state.page + 1}/${state.pages}`;
    back.disabled = on.disabled = state.pages === 1;
    const shown = state.onShelf();
    rows.forEach((row, i) => drawFilm(row, shown[i]));
  }

  function drawFilm(row, film) {
    row.hidden = film === undefined;
    if (row.hidden) return;
    const watched = state.watched.includes(film), title = films.titles[film];
    fill(row, {"aria-pressed": String(watched), title, "aria-label": `${title}, ${films.genres[films.genre[film]]}`},
      html("span", {class: "sign", "aria-hidden": "true"}, watched ? "✓" : "+"),
      html("span", {class: "film-title"}, withoutYear(title)));
  }

  return {node, draw};
}
