// The interactive tour: tiles, cloud and list after the first n films of a user.
(() => {
  "use strict";

  const data = JSON.parse(document.getElementById("tour-data").textContent);
  const root = document.getElementById("tour");
  const SIZE = 320, REACH = 3; // the plane: pixels, and the largest coordinate that it shows
  const state = { user: data.users[0], place: 3 };

  function html(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    return fill(node, attributes, children);
  }

  function svg(name, attributes = {}, ...children) {
    return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  }

  function fill(node, attributes, children) {
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  const scale = (length) => (length * SIZE) / (2 * REACH);
  const x = (value) => SIZE / 2 + scale(value);
  const y = (value) => SIZE / 2 - scale(value);
  const title = (film) => data.films[film][0];
  const genre = (film) => data.genres[data.films[film][1]];
  const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

  // -- what stands on the page ------------------------------------------------------------------

  const buttons = data.users.map((user) => {
    const button = html("button", { type: "button" },
      `${user.name}, ${count(user.films.length, "film", "films")}`);
    button.addEventListener("click", () => choose(user));
    return button;
  });
  const label = html("label", { for: "tour-seen" });
  const slider = html("input", { type: "range", id: "tour-seen", min: 0, step: 1 });
  const more = html("button", { type: "button" }, "One step more");
  const summary = html("p", { class: "tour-summary", role: "status", "aria-live": "polite" });
  const tiles = html("div", { class: "tour-tiles", role: "img" });
  const list = html("ol");

  const edge = svg("ellipse", { class: "edge" });
  const inner = svg("ellipse");
  const trail = svg("polyline", { class: "trail" });
  const centre = svg("circle", { class: "centre", r: 5 });
  const plane = svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img" },
    svg("line", { class: "axis", x1: 0, x2: SIZE, y1: y(0), y2: y(0) }),
    svg("line", { class: "axis", y1: 0, y2: SIZE, x1: x(0), x2: x(0) }),
    ...data.crowd.map(([a, b]) => svg("circle", { class: "crowd", cx: x(a), cy: y(b), r: 1.6 })),
    edge, inner, trail, centre,
    ...data.genres.map((name, g) => svg("text",
      { x: x(data.landmarks[g][0]), y: y(data.landmarks[g][1]) + 4 },
      name.replace("Science Fiction", "Sci-fi"))),
    svg("rect", { class: "frame", x: 0.5, y: 0.5, width: SIZE - 1, height: SIZE - 1 }));

  root.replaceChildren(
    html("fieldset", {}, html("legend", {}, "Whose films?"), ...buttons),
    html("div", { class: "tour-slider" }, label, slider, more),
    summary,
    html("div", { class: "tour-view" },
      html("section", { "aria-labelledby": "tour-films" },
        html("h3", { id: "tour-films" }, "What goes in: films"), tiles),
      html("section", { "aria-labelledby": "tour-cloud" },
        html("h3", { id: "tour-cloud" }, "In the middle: likely tastes"), plane),
      html("section", { "aria-labelledby": "tour-list", class: "tour-right" },
        html("h3", { id: "tour-list" }, "What comes out: the top ten"), list)));

  // -- what changes -----------------------------------------------------------------------------

  function choose(user) {
    state.user = user;
    state.place = Math.min(3, user.steps.length - 1);
    slider.max = user.steps.length - 1;
    const small = user.films.length > 50;
    tiles.classList.toggle("small", small);
    tiles.style.setProperty("--tour-columns", small ? 25 : 7);
    tiles.replaceChildren(...user.films.map((film) =>
      html("span", { title: `${title(film)}, ${genre(film)}` }, small ? "" : genre(film).slice(0, 3))));
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", data.users[i] === user));
    draw();
  }

  function move(place) {
    state.place = Math.max(0, Math.min(place, state.user.steps.length - 1));
    draw();
  }

  function draw() {
    const { user, place } = state;
    const step = user.steps[place];
    const favourites = new Set(user.favourites);
    const hits = step.top.filter((film) => favourites.has(film)).length;
    const atEnd = place === user.steps.length - 1;
    const latest = step.seen ? user.films[step.seen - 1] : null;

    label.textContent = `Films of ${user.name} that the model sees: ${step.seen} of ${user.films.length}`;
    slider.value = place;
    slider.setAttribute("aria-valuetext", `${step.seen} of ${user.films.length} films`);
    more.disabled = atEnd;

    [...tiles.children].forEach((tile, i) => {
      tile.classList.toggle("on", i < step.seen);
      tile.classList.toggle("last", i === step.seen - 1);
    });
    tiles.setAttribute("aria-label", `${step.seen} of ${user.films.length} tiles are filled`);
    drawCloud(user, place);
    list.replaceChildren(...step.top.map((film) => row(film, favourites.has(film))));
    summary.textContent = [
      latest === null ? `${user.name}: no film yet, so the list is that of popularity.`
        : `Newest of ${count(step.seen, "film", "films")}: ${title(latest)}, ${genre(latest)}.`,
      `The mean width of the cloud is ${width(step).toFixed(2)}.`,
      `The most frequent genre in the list is ${usual(step.top)}.`,
      `Hidden favourites: ${hits} of ten (the popularity list has ${popular(user, favourites)}).`,
    ].join(" ");
  }

  function drawCloud(user, place) {
    const step = user.steps[place];
    const [a, b] = step.centre, [wide, high] = step.width;
    [[edge, 2], [inner, 1]].forEach(([shape, times]) => fill(shape,
      { cx: x(a), cy: y(b), rx: scale(times * wide), ry: scale(times * high) }, []));
    fill(centre, { cx: x(a), cy: y(b) }, []);
    trail.setAttribute("points", user.steps.slice(0, place + 1)
      .map(({ centre: [c, d] }) => `${x(c)},${y(d)}`).join(" "));
    plane.setAttribute("aria-label", `The plane of tastes. The cloud of ${user.name} after ${
      count(step.seen, "film", "films")} has its centre at ${
      step.centre.map((value) => value.toFixed(1)).join(", ")} and a mean width of ${
      width(step).toFixed(2)}.`);
  }

  function row(film, hit) {
    return html("li", hit ? { class: "hit" } : {},
      html("span", { class: "tour-tick", "aria-hidden": "true" }, hit ? "✓" : "–"),
      title(film), html("span", { class: "genre" }, ` ${genre(film)}`),
      ...(hit ? [html("span", { class: "tour-hidden" }, ", hidden favourite")] : []));
  }

  // The genre that most films of a list have; the first in the list where two have as many.
  function usual(films) {
    const names = films.map(genre);
    const often = (name) => names.filter((other) => other === name).length;
    return names.reduce((best, name) => (often(name) > often(best) ? name : best));
  }

  const width = (step) => (step.width[0] + step.width[1]) / 2;

  // Without a film the model answers with popularity, so the first step holds that list.
  function popular(user, favourites) {
    return user.steps[0].top.filter((film) => favourites.has(film)).length;
  }

  slider.addEventListener("input", () => move(Number(slider.value)));
  more.addEventListener("click", () => move(state.place + 1));
  choose(state.user);
})();
