// The middle column: the cloud of likely tastes, in the plane or as one bar for each number.

const SIZE = 300, REACH = 3.1; // pixels, and the largest coordinate that is shown
const EDGE = 38; // pixels that half of a genre's name needs
const scale = (length) => (length * SIZE) / (2 * REACH);
const across = (value) => SIZE / 2 + scale(value);
const down = (value) => SIZE / 2 - scale(value);
const inside = (value) => Math.max(-REACH, Math.min(REACH, value));

function makePlane(state, changed) {
  const {landmarks, crowd} = state.models.about[2];
  const blurred = svg("radialGradient", {id: "pick-films-cloud"},
    ...[0, 0.25, 0.5, 0.75, 1].map((r) => svg("stop", {
      offset: r, class: "cloud-stop", "stop-opacity": 0.75 * Math.exp(-2 * r * r)})));
  const cloud = svg("ellipse", {class: "cloud", fill: "url(#pick-films-cloud)"});
  const edge = svg("ellipse", {class: "edge"});
  const dots = Array.from({length: SAMPLES}, () => svg("circle", {class: "sample", r: 5}));
  const picture = svg("svg", {viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img"},
    svg("defs", {}, blurred),
    ...crowd.map(([a, b]) => svg("circle", {class: "crowd", cx: across(a), cy: down(b), r: 1.7})),
    cloud, edge,
    ...state.films.genres.map((name, g) => svg("text",
      {x: Math.max(EDGE, Math.min(SIZE - EDGE, across(landmarks[g][0]))), y: down(landmarks[g][1]) + 5,
        class: "landmark"}, short(name))),
    ...dots);
  const handle = html("button", {type: "button", class: "handle", role: "slider", "aria-valuemin": -REACH,
    "aria-valuemax": REACH});
  const node = html("div", {class: "plane"}, picture, handle);

  function move(a, b) {
    state.taste = [inside(a), inside(b)];
    changed("taste");
  }

  function toPointer(event) {
    const box = picture.getBoundingClientRect();
    move(((event.clientX - box.left) / box.width - 0.5) * 2 * REACH,
      (0.5 - (event.clientY - box.top) / box.height) * 2 * REACH);
  }

  picture.addEventListener("click", toPointer);
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    node.classList.add("dragged");
  });
  handle.addEventListener("pointermove", (event) => {
    if (handle.hasPointerCapture(event.pointerId)) toPointer(event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    handle.addEventListener(end, () => node.classList.remove("dragged"));
  }
  const STEPS = {ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1]};
  handle.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    const [a, b] = state.taste ?? state.cloud().centre, [right, up] = STEPS[event.key];
    move(a + right, b + up);
  });

  function draw() {
    const {centre, width} = state.cloud();
    const place = {cx: across(centre[0]), cy: down(centre[1])};
    fill(cloud, {...place, rx: scale(2.6 * width[0]), ry: scale(2.6 * width[1])});
    fill(edge, {...place, rx: scale(2 * width[0]), ry: scale(2 * width[1])});
    dots.forEach((dot, i) => {
      const taste = state.samples?.[i] ?? centre;
      fill(dot, {cx: across(inside(taste[0])), cy: down(inside(taste[1])), opacity: state.samples ? 1 : 0});
    });
    const [a, b] = state.taste ?? centre;
    handle.style.left = `${(100 * across(a)) / SIZE}%`;
    handle.style.top = `${(100 * down(b)) / SIZE}%`;
    fill(handle, {"aria-label": "Taste: drag it, or use the arrow keys", "aria-valuenow": a.toFixed(2),
      "aria-valuetext": `across ${number(a, 1)}, up ${number(b, 1)}`});
    picture.setAttribute("aria-label", `The plane of tastes. The cloud has its centre at ${number(centre[0], 1)}, `
      + `${number(centre[1], 1)} and a mean width of ${number(state.meanWidth())}.`);
  }

  return {node, draw};
}
