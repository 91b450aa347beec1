// Builds the widget, and draws it anew when something changes.

const {fill, html, svg, button, number, count, weights, speaker, slide, eachFrame} = vaerecWidgets;

function read(data) {
  const models = {2: weights(data["mvae-2"]), 16: weights(data["mvae-16"]),
    about: {2: data["mvae-2"], 16: data["mvae-16"]}};
  return new State(data.films, models);
}

function start(body, tools) {
  const state = read(tools.data());
  const voice = speaker();
  const parts = [makeShelf, makePlane, makeNumbers, makeList].map((make) => make(state, changed));
  const [shelf, plane, numbers, list] = parts;

  const people = [null, ...state.films.users].map((user) => button(
    user ? user.name : "You", () => { state.meet(user); changed(); }, {class: "person"}));
  const sizes = [2, 16].map((size) => button(`${size} numbers`, () => { state.resize(size); changed(); }));
  const sample = button("Draw ten tastes", () => { state.sample(); changed(); }, {class: "primary"});
  const centre = button("Centre", () => { state.settle(); changed(); sample.focus(); },
    {"aria-label": "Back to the cloud's centre"});
  const width = html("p", {class: "width"});

  const middle = html("section", {class: "tastes", "aria-label": "Likely tastes"},
    html("p", {class: "heading"}, html("span", {class: "step"}, "2"), "Likely tastes"),
    plane.node, numbers.node, width, html("div", {class: "actions"}, sample, centre));
  body.replaceChildren(
    html("div", {class: "bar-top"},
      html("div", {role: "group", "aria-label": "Whose films?", class: "people"}, ...people),
      html("div", {role: "group", "aria-label": "How many numbers describe a taste?", class: "sizes"},
        html("span", {}, "A taste is"), ...sizes)),
    html("div", {class: "columns"}, shelf.node, middle, list.node), voice.node);

  // Where only the taste has moved, the shelf stands as it is.
  function drawAll(moved = "all") {
    body.dataset.who = state.user?.name ?? "You";
    people.forEach((one, i) => one.setAttribute("aria-pressed", String((state.films.users[i - 1] ?? null) === state.user)));
    sizes.forEach((one, i) => one.setAttribute("aria-pressed", String([2, 16][i] === state.size)));
    plane.node.hidden = state.size !== 2;
    numbers.node.hidden = state.size !== 16;
    centre.disabled = !state.taste && !state.samples;
    if (moved === "all") shelf.draw();
    (state.size === 2 ? plane : numbers).draw();
    list.draw(moved === "all");
    const wide = state.meanWidth();
    fill(width, {}, "Width ", html("strong", {}, number(wide)), state.watched.length
      ? ` after ${count(state.watched.length, "film", "films")}` : ": nothing is known yet.");
    voice.say(said());
  }

  const soon = eachFrame(drawAll);
  function changed(moved) { soon(moved); }

  function said() {
    const list = state.list();
    return `${count(state.watched.length, "film", "films")} watched. The cloud's width is ${number(state.meanWidth())}. `
      + `First in the list: ${state.films.titles[list[0]]}, ${state.films.genres[state.films.genre[list[0]]]}. `
      + (state.user ? `${state.hits(list)} of ten are hidden favourites of ${state.user.name}.` : "");
  }

  drawAll();
  return {state, draw: drawAll};
}

vaerecWidgets.register("pick-films", {start, read, encode, decode, best});
