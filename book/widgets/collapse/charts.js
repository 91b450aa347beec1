// Two charts in SVG: the trace of rate and distortion, and the strip on which beta is drawn.

// An SVG whose unit is a CSS pixel at every width.
function chart(node, draw) {
  const width = Math.max(260, node.clientWidth);
  const height = node.clientHeight;
  node.setAttribute("viewBox", `0 0 ${width} ${height}`);
  draw(width, height);
}

const shorten = (value) => String(Number(value.toPrecision(2)));
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// ---- Rate against distortion ---------------------------------------------------------------------------

const RATES = [0, 3.5];
const DISTORTIONS = [29.5, 34.5]; // nats a user; the first steps lie above and are not shown

function drawTrace(node, trace, shown) {
  chart(node, (width, height) => {
    const [left, right, top, floor] = [44, width - 8, 8, height - 26];
    const x = (rate) => left + (clamp(rate, ...RATES) - RATES[0]) / (RATES[1] - RATES[0]) * (right - left);
    const y = (nats) => floor - (clamp(nats, ...DISTORTIONS) - DISTORTIONS[0])
      / (DISTORTIONS[1] - DISTORTIONS[0]) * (floor - top);
    const parts = [];
    for (const nats of [30, 32, 34]) {
      parts.push(svg("line", {class: "grid", x1: left, x2: right, y1: y(nats), y2: y(nats)}),
                 svg("text", {x: left - 8, y: y(nats) + 5, "text-anchor": "end"}, String(nats)));
    }
    for (const rate of [0, 1, 2, 3]) {
      parts.push(svg("text", {x: x(rate), y: floor + 19, "text-anchor": "middle"}, String(rate)));
    }
    parts.push(svg("line", {class: "axis", x1: left, x2: right, y1: floor, y2: floor}),
               svg("text", {x: right, y: floor + 19, "text-anchor": "end"}, "rate"),
               svg("text", {x: right, y: top + 10, "text-anchor": "end"}, "distortion, nats"));
    // The slope that training seeks: one more nat of rate must save beta nats of distortion.
    const scale = (right - left) / (RATES[1] - RATES[0]);
    const tall = (floor - top) / (DISTORTIONS[1] - DISTORTIONS[0]);
    const run = 34 / Math.hypot(scale, shown.beta * tall);
    const inside = trace.filter(({distortion}) => distortion < DISTORTIONS[1]);
    parts.push(svg("polyline", {class: "trace", points: inside.map(
      ({rate, distortion}) => `${x(rate).toFixed(1)},${y(distortion).toFixed(1)}`).join(" ")}));
    const [cx, cy] = [x(shown.rate), y(shown.distortion)];
    parts.push(svg("line", {class: "slope", x1: cx - run * scale, y1: cy - run * shown.beta * tall,
                            x2: cx + run * scale, y2: cy + run * shown.beta * tall}),
               svg("circle", {class: "here", cx, cy, r: 6}));
    node.replaceChildren(node.querySelector("title"), ...parts);
  });
}

// ---- The strip of beta -------------------------------------------------------------------------------------

// Reads and draws a plan; `change(plan)` hears what the hand or the keys make of it.
function strip(node, now, change) {
  const margin = {left: 44, right: 12, top: 10, bottom: 26};
  const place = {};
  const handles = Array.from({length: schedule.HANDLES}, (_, k) => svg("circle", {
    class: "handle", r: 5, role: "slider", tabindex: k === schedule.HANDLES - 1 ? 0 : -1,
    "aria-orientation": "vertical", "aria-valuemin": schedule.LOW, "aria-valuemax": schedule.HIGH}));
  const title = node.querySelector("title");
  const ground = svg("g");
  const past = svg("path", {class: "past"});
  const future = svg("path", {class: "future"});
  const cursor = svg("line", {class: "cursor"});
  node.replaceChildren(title, ground, past, future, cursor, ...handles);

  function measureUp(width, height) {
    const [left, right] = [margin.left, width - margin.right];
    const [top, floor] = [margin.top, height - margin.bottom];
    const [low, high] = [Math.log(schedule.LOW), Math.log(schedule.HIGH)];
    place.x = (cell) => left + cell / schedule.CELLS * (right - left);
    place.y = (beta) => floor - (Math.log(beta) - low) / (high - low) * (floor - top);
    place.cell = (px) => clamp(Math.floor((px - left) / (right - left) * schedule.CELLS), 0, schedule.CELLS - 1);
    place.beta = (py) => Math.exp(clamp(low + (floor - py) / (floor - top) * (high - low), low, high));
    Object.assign(place, {left, right, top, floor});
  }

  function drawGround(from) {
    const {x, y, left, right, floor} = place;
    const lines = [0.01, 0.1, 1, 10].flatMap((beta) => [
      svg("line", {class: "grid", x1: left, x2: right, y1: y(beta), y2: y(beta)}),
      svg("text", {x: left - 8, y: y(beta) + 5, "text-anchor": "end"}, String(beta))]);
    const labels = [0, 0.5, 1].map((t) => svg("text", {
      x: x(t * schedule.CELLS), y: floor + 19, "text-anchor": ["start", "middle", "end"][2 * t]},
      `${t === 0 ? "step " : ""}${from + t * schedule.SPAN}`));
    ground.replaceChildren(...lines, ...labels);
  }

  function draw() {
    const {plan, step} = now();
    chart(node, measureUp);
    const {x, y, top, floor} = place;
    drawGround(plan.from);
    const at = clamp((step - plan.from) / schedule.STEPS, 0, schedule.CELLS);
    const points = plan.betas.map((beta, cell) => [cell, beta]);
    const path = (cells, first, last) => cells.map(([cell, beta], i) => `${i ? "L" : "M"}`
      + `${x(Math.max(first, cell)).toFixed(1)} ${y(beta).toFixed(1)}H${x(Math.min(last, cell + 1)).toFixed(1)}`).join("");
    past.setAttribute("d", path(points.filter(([cell]) => cell < at), 0, at));
    future.setAttribute("d", path(points.filter(([cell]) => cell + 1 > at), at, schedule.CELLS));
    fill(cursor, {x1: x(at), x2: x(at), y1: top - 4, y2: floor + 4});
    handles.forEach((handle, k) => {
      const cell = schedule.cellOf(k);
      fill(handle, {cx: x(cell + (cell === schedule.CELLS - 1)), cy: y(plan.betas[cell])});
    });
    name();
  }

  // What a screen reader hears of each handle, drawn or not.
  function name() {
    const {plan, step} = now();
    handles.forEach((handle, k) => {
      const cell = schedule.cellOf(k);
      const gone = cell < schedule.cellAt(plan, step);
      const beta = plan.betas[cell];
      fill(handle, {
        "aria-valuenow": Number(beta.toPrecision(3)), "aria-valuetext": `beta ${shorten(beta)}`,
        "aria-label": `beta at step ${plan.from + Math.round(cell / 10) * 10 * schedule.STEPS}`,
        "aria-disabled": gone ? "true" : null});
    });
  }

  name();

  // By hand: a stroke from the last place of the pointer to this one.
  let last;
  const under = (event) => {
    const box = node.getBoundingClientRect();
    const zoom = box.width / node.clientWidth || 1; // presented widgets are enlarged
    return [place.cell((event.clientX - box.left) / zoom), place.beta((event.clientY - box.top) / zoom)];
  };
  const move = (event) => {
    if (!last) return;
    const {plan, step} = now();
    const here = under(event);
    change(schedule.stroke(plan, step, last, here));
    last = here;
  };
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    last = under(event);
    move(event);
  });
  node.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => { last = undefined; });

  // By keys: left and right choose a handle, up and down move it.
  node.addEventListener("keydown", (event) => {
    const k = handles.indexOf(event.target);
    if (k < 0) return;
    const {plan, step} = now();
    const sideways = {ArrowLeft: k - 1, ArrowRight: k + 1, Home: 0, End: schedule.HANDLES - 1}[event.key];
    const upward = {ArrowUp: 1, ArrowDown: -1, PageUp: 4, PageDown: -4}[event.key];
    if (sideways !== undefined) {
      const next = clamp(sideways, 0, schedule.HANDLES - 1);
      handles[k].setAttribute("tabindex", -1);
      handles[next].setAttribute("tabindex", 0);
      handles[next].focus();
    } else if (upward !== undefined) {
      change(schedule.bend(plan, step, k, schedule.stop(plan.betas[schedule.cellOf(k)], upward)));
    } else return;
    event.preventDefault();
  });
  return {draw, handles};
}
