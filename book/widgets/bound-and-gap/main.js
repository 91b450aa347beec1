// Wiring of "bound and gap": q is moved by its curve, by sliders or by buttons; the history by ticking films.
const PAGE = `<div id="six-films">
  <div class="scene">
    <div class="picture">
      <svg id="six-films-densities" role="img" aria-labelledby="six-films-densities-title">
        <title id="six-films-densities-title">Prior, posterior and q along the taste z</title></svg>
      <svg id="six-films-bar" role="img" aria-labelledby="six-films-bar-title">
        <title id="six-films-bar-title">Two bars of equal length: distortion and rate; minus log p(x) and the
          gap, hatched</title></svg>
    </div>
    <div class="hand">
      <p class="note"><strong>Drag the curve</strong>: its top moves the mean, a shoulder the width.</p>
      <p class="pair"><label for="six-films-mu">Mean μ</label>
        <output id="six-films-mu-value" for="six-films-mu"></output>
        <input id="six-films-mu" type="range" min="-2.5" max="2.5" step="0.01" value="0"></p>
      <p class="pair"><label for="six-films-sigma">Width σ</label>
        <output id="six-films-sigma-value" for="six-films-sigma"></output>
        <input id="six-films-sigma" type="range" min="0.05" max="1.6" step="0.01" value="1"></p>
      <p class="buttons"><button type="button" id="six-films-best">Best q</button>
        <button type="button" id="six-films-prior">Prior</button>
        <button type="button" id="six-films-narrow" aria-label="Halve the width">Halve</button>
        <button type="button" id="six-films-wide" aria-label="Double the width">Double</button></p>
      <fieldset><legend>Films watched</legend><div id="six-films-list"></div>
        <p class="pair times"><label for="six-films-times">Times each</label>
          <output id="six-films-times-value" for="six-films-times"></output>
          <input id="six-films-times" type="range" min="1" max="20" step="1" value="1"></p>
        <p class="note">Bars: probability to be next, under q</p></fieldset>
    </div>
  </div></div>`;

function start(body) {
  body.innerHTML = PAGE;
  const part = (name) => body.querySelector(`#six-films-${name}`);
  const root = body.querySelector("#six-films");
  const said = speaker(300);
  said.node.id = "six-films-summary";
  root.append(said.node);
  const sliders = {mu: part("mu"), sigma: part("sigma"), times: part("times")};
  const state = {mu: 0, sigma: 1, seen: null};

  WORLD.titles.forEach((title, i) => {
    const box = html("input", {type: "checkbox", id: `six-films-film-${i}`});
    part("list").append(html("div", {class: "film"}, html("label", {}, box, title),
      html("span", {class: "track", "aria-hidden": "true"}, html("span", {class: "share"})),
      html("span", {class: "percent"})));
  });
  const boxes = WORLD.titles.map((_, i) => part(`film-${i}`));
  boxes[4].checked = boxes[5].checked = true; // Ben, as in the chapter

  function readHistory() {
    const times = Number(sliders.times.value);
    state.seen = study(boxes.map((box) => (box.checked ? times : 0)));
    part("times-value").textContent = String(times);
  }

  // Keep a slider within its ends, and q exact between its steps.
  function setQ(mu, sigma) {
    const within = (slider, value) => Math.min(Number(slider.max), Math.max(Number(slider.min), value));
    state.mu = within(sliders.mu, mu);
    state.sigma = within(sliders.sigma, sigma);
    sliders.mu.value = state.mu;
    sliders.sigma.value = state.sigma;
    draw();
  }

  // Slide to a q, or jump where the reader wants no motion.
  let stop = () => {};
  function moveTo(mu, sigma) {
    stop();
    const [fromMu, fromSigma] = [state.mu, state.sigma];
    stop = glide((t) => (t === 1 ? setQ(mu, sigma)
      : setQ(fromMu + t * (mu - fromMu), fromSigma + t * (sigma - fromSigma))), 500);
  }

  function draw() {
    const {mu, sigma, seen} = state;
    const now = measure(seen, mu, sigma);
    Object.assign(root.dataset, {
      mu, sigma, evidence: seen.evidence, explained: now.explained, rate: now.rate, elbo: now.elbo,
      gap: now.gap, next: JSON.stringify(now.next),
    });
    for (const name of ["mu", "sigma"]) {
      part(`${name}-value`).textContent = number(state[name], 2);
      sliders[name].setAttribute("aria-valuetext", state[name].toFixed(2));
    }
    root.querySelectorAll(".film").forEach((row, i) => {
      row.querySelector(".share").style.width = `${100 * now.next[i]}%`;
      row.querySelector(".percent").textContent = `${Math.round(100 * now.next[i])} %`;
    });
    drawDensities(part("densities"), seen, mu, sigma);
    drawBar(part("bar"), seen, now);
    said.say(`ELBO ${number(now.elbo, 3)} + gap ${number(now.gap, 3)} = log p(x) ${number(seen.evidence, 3)} nats. `
      + `Distortion is ${number(-now.explained, 3)}, rate ${number(now.rate, 3)}.`);
  }
  const drawSoon = eachFrame(draw);

  for (const name of ["mu", "sigma"]) {
    sliders[name].addEventListener("input", () => {
      stop();
      state[name] = Number(sliders[name].value);
      draw();
    });
  }
  for (const control of [...boxes, sliders.times]) {
    control.addEventListener("input", () => {
      readHistory();
      draw();
    });
  }
  part("prior").addEventListener("click", () => moveTo(0, 1));
  part("best").addEventListener("click", () => moveTo(...bestQ(state.seen)));
  part("narrow").addEventListener("click", () => moveTo(state.mu, state.sigma / 2));
  part("wide").addEventListener("click", () => moveTo(state.mu, state.sigma * 2));
  dragCurve(part("densities"), state, (mu, sigma) => { stop(); setQ(mu, sigma); });

  readHistory();
  draw();
  new ResizeObserver(drawSoon).observe(part("densities"));
}

// The grip nearest to the pointer follows it: the top carries the mean, a shoulder stretches the width.
function dragCurve(node, state, change) {
  let held;
  const under = (event) => {
    const box = node.getBoundingClientRect();
    return {x: (event.clientX - box.left) * node.clientWidth / box.width,
            y: (event.clientY - box.top) * node.clientHeight / box.height};
  };
  node.addEventListener("pointerdown", (event) => {
    const at = under(event);
    const far = (grip) => Math.hypot(grip.x - at.x, grip.y - at.y);
    const grips = handlesOf(placing(node, state.seen), state.mu, state.sigma);
    held = grips.reduce((best, grip) => (far(grip) < far(best) ? grip : best));
    held.offset = held.x - at.x;
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointermove", (event) => {
    if (!held) return;
    const z = placing(node, state.seen).z(under(event).x + held.offset);
    if (held.name === "top") change(z, state.sigma);
    else change(state.mu, held.name === "left" ? state.mu - z : z - state.mu);
  });
  for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => { held = undefined; });
}

register("bound-and-gap", {start});
