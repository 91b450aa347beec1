// The films in a row. Drag one; or click it, then click where it goes; or lift it with Enter and use the arrows.

function makeStrip(state, changed) {
  const {films} = state;
  const tiles = state.truth.map((_, place) => {
    const tile = html("button", {type: "button"});
    tile.addEventListener("click", () => choose(place));
    tile.addEventListener("keydown", (event) => press(event, place));
    tile.addEventListener("focus", () => tell(place));
    tile.addEventListener("pointerenter", () => tell(place));
    tile.addEventListener("pointerdown", (event) => begin(event, place));
    return tile;
  });
  const told = html("p", {class: "told"});
  const row = html("div", {class: "tiles", role: "group", "aria-label": "Ada's films, oldest first"}, ...tiles);
  const slider = html("input", {type: "range", min: 1, max: state.truth.length, step: 1, id: "order-seen"});
  const label = html("label", {for: "order-seen"});
  slider.addEventListener("input", () => { state.seen = Number(slider.value); changed(); });
  const node = html("section", {class: "strip"}, row, told, html("div", {class: "seen"}, label, slider));
  let drag = null; // {from, at, moved}: a film on its way under a finger

  function choose(place) {
    if (drag?.moved) return;
    if (state.lifted === null) state.lifted = place;
    else {
      state.move(state.lifted, place);
      state.lifted = null;
    }
    changed();
  }

  // The arrows walk from film to film, or carry the lifted one. Escape lays it down where it is.
  function press(event, place) {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    const next = Math.max(0, Math.min(tiles.length - 1, place + step));
    if (step) event.preventDefault();
    if (step) tiles[next].focus();
    if (state.lifted === null || !(step || event.key === "Escape")) return;
    if (step) state.move(state.lifted, next);
    state.lifted = step ? next : null;
    changed();
  }

  function begin(event, place) {
    drag = {at: place, moved: false};
    const follow = ({clientX, clientY}) => {
      const under = tiles.findIndex((tile) => {
        const box = tile.getBoundingClientRect();
        return clientX >= box.left && clientX <= box.right && clientY >= box.top && clientY <= box.bottom;
      });
      if (under < 0 || under === drag.at) return;
      state.move(drag.at, under);
      Object.assign(drag, {at: under, moved: true});
      state.lifted = under;
      changed();
    };
    const end = () => {
      removeEventListener("pointermove", follow);
      for (const name of ["pointerup", "pointercancel"]) removeEventListener(name, end);
      if (!drag.moved) return;
      state.lifted = null;
      changed();
      setTimeout(() => { drag = null; }); // after the click that the browser makes of it
    };
    addEventListener("pointermove", follow);
    for (const name of ["pointerup", "pointercancel"]) addEventListener(name, end);
  }

  function tell(place) {
    const film = state.order[place];
    told.textContent = `${place + 1}. ${films.titles[film]}, ${films.genres[films.genre[film]]}`
      + (place < state.seen ? "" : ", not read yet") + (state.lifted === place ? ": now click its new place" : "");
  }

  function draw() {
    tiles.forEach((tile, place) => {
      const film = state.order[place], genre = films.genre[film];
      fill(tile, {class: `tile genre-${genre}${place < state.seen ? "" : " unread"}`,
        "aria-pressed": String(state.lifted === place),
        "aria-label": `${place + 1}. ${films.titles[film]}, ${films.genres[genre]}`}, short(films.genres[genre]).slice(0, 2));
    });
    label.textContent = `Films read: ${state.seen} of ${state.truth.length}`;
    slider.value = state.seen;
    slider.setAttribute("aria-valuetext", `${state.seen} of ${state.truth.length} films`);
    told.textContent = state.said();
  }

  return {node, draw};
}
