// Wiring of the collapse machine: the page, its controls, and what is said aloud.
const K = 10;            // films in a list
const FIRST_SHOW = 240;  // steps that run by themselves, once, where the reader wants motion
const SETUP = {size: {hidden: 16, latent: 2}, seed: 1, rate: 0.02, k: K};

const PAGE = `
<div class="tabs" role="tablist" aria-label="Two models">
  <button type="button" role="tab" id="collapse-tab-vae" aria-controls="collapse-vae">A VAE that trains</button>
  <button type="button" role="tab" id="collapse-tab-linear" aria-controls="collapse-linear">The linear VAE, exactly</button>
</div>
<div role="tabpanel" id="collapse-vae" aria-labelledby="collapse-tab-vae">
  <div class="scene">
    <div class="map"><canvas id="collapse-map" role="img" aria-label="The cloud of each of 300 users on the plane of z"></canvas>
      <p class="legend"><svg class="wheel" viewBox="-12 -12 24 24" aria-hidden="true"></svg>
        <span>Needle: true taste, → comedy, ↑ noir</span></p></div>
    <div class="side">
      <p id="collapse-alarm" class="alarm"></p>
      <div><canvas id="collapse-lists" role="img" aria-label="Films in the top ten of 60 users"></canvas>
        <p class="legend">Top tens: a row a person, a column a film</p></div>
      <svg id="collapse-trace" role="img" aria-labelledby="collapse-trace-title"><title id="collapse-trace-title">Rate
        against distortion: the way that training took, and the slope minus beta</title></svg>
    </div>
    <div class="controls">
      <div class="buttons"><button type="button" class="primary" id="collapse-play">Train</button>
        <button type="button" id="collapse-step">One step</button>
        <button type="button" id="collapse-reset">Start again</button></div>
      <div class="beta"><label for="collapse-beta">β from now on</label>
        <output id="collapse-beta-value" for="collapse-beta"></output>
        <input id="collapse-beta" type="range" min="0" step="1"></div>
      <div class="buttons plans" role="group" aria-label="Start again with a plan">
        <button type="button" data-plan="wave">To 12 and back</button>
        <button type="button" data-plan="climb">Climb</button>
        <button type="button" data-plan="cycles">Cycles</button></div>
    </div>
    <div class="plan"><p class="legend"><strong>β over training:</strong> draw the line</p>
      <svg id="collapse-strip" role="group" aria-labelledby="collapse-strip-title"><title
        id="collapse-strip-title">beta over the steps of training; arrow keys move its handles</title></svg></div>
  </div>
</div>
<div role="tabpanel" id="collapse-linear" aria-labelledby="collapse-tab-linear" hidden>
  <div class="scene">
    <div class="bars"><svg id="collapse-bars" role="img" aria-labelledby="collapse-bars-title"><title
      id="collapse-bars-title">Six bars, the variance of the data in six directions, and the price of a unit</title></svg>
      <div class="beta"><label for="collapse-linear-beta">β</label>
        <output id="collapse-linear-value" for="collapse-linear-beta"></output>
        <input id="collapse-linear-beta" type="range" min="-0.6" max="1.6" step="0.02"></div></div>
    <div class="side"><p id="collapse-units" class="alarm"></p>
      <svg id="collapse-curve" role="img" aria-labelledby="collapse-curve-title"><title id="collapse-curve-title">Rate
        against distortion at every beta: a curve whose slope is minus beta</title></svg>
      <p class="legend">A unit returns what its bar has above the line. Below the line it costs more than
        it explains, and the best model leaves it dark.</p></div>
  </div>
</div>`;

function start(body, {data, worker}) {
  const world = data().data;
  if (!window.Worker || !document.createElement("canvas").getContext) throw new Error("it needs workers and canvas");
  body.innerHTML = PAGE;
  const said = speaker();
  body.append(said.node);
  const part = (name) => body.querySelector(`#collapse-${name}`);
  const showTab = tabs(body, ["vae", "linear"]);
  const machine = startMachine(body, part, world, worker, said.say);
  const drawLinear = startLinear(part, world.linear, said.say, body);
  showTab((name) => (name === "vae" ? machine() : drawLinear()));
  const redraw = eachFrame(() => { machine(); drawLinear(); });
  new ResizeObserver(redraw).observe(body);
  new MutationObserver(redraw).observe(document.documentElement, {attributeFilter: ["data-theme"]});
}

// Tabs as the keyboard expects them: arrows move, one stop for Tab.
function tabs(body, names) {
  const tab = (name) => body.querySelector(`#collapse-tab-${name}`);
  let changed = () => {};
  const choose = (chosen) => {
    for (const name of names) {
      fill(tab(name), {"aria-selected": String(name === chosen), tabindex: name === chosen ? 0 : -1});
      body.querySelector(`#collapse-${name}`).hidden = name !== chosen;
    }
    changed(chosen);
  };
  names.forEach((name, i) => {
    tab(name).addEventListener("click", () => choose(name));
    tab(name).addEventListener("keydown", ({key}) => {
      if (key !== "ArrowLeft" && key !== "ArrowRight") return;
      const other = names[(i + 1) % names.length];
      choose(other);
      tab(other).focus();
    });
  });
  choose(names[0]);
  return (listener) => { changed = listener; };
}

// ---- The VAE that trains ---------------------------------------------------------------------------------

function startMachine(body, part, data, worker, say) {
  const world = worldOf(data);
  const state = {plan: schedule.flat(0.2), shown: null, full: null, trace: [], auto: false};
  const trainer = worker();
  const order = (name, message = {}) => trainer.postMessage({name, ...message});
  const slider = part("beta");
  slider.max = schedule.STOPS.length - 1;

  const theStrip = strip(part("strip"), () => ({plan: state.plan, step: state.shown ? state.shown.step : 0}),
                         (plan) => setPlan(plan));
  drawWheel(body.querySelector(".wheel"));

  function setPlan(plan) {
    state.plan = plan;
    order("plan", {plan});
    drawBeta();
    theStrip.draw();
  }

  function restart(plan) {
    state.trace = [];
    state.plan = plan;
    order("reset", {plan});
  }

  function drawBeta() {
    const beta = schedule.betaAt(state.plan, state.shown ? state.shown.step : 0);
    slider.value = schedule.nearest(beta);
    slider.setAttribute("aria-valuetext", `beta ${shorten(beta)}`);
    part("beta-value").textContent = shorten(beta);
  }

  function draw() {
    const {shown, full} = state;
    if (!shown || part("vae").hidden) return;
    drawMap(part("map"), shown, world);
    drawLists(part("lists"), full.lists, world);
    drawTrace(part("trace"), state.trace, full);
    drawBeta();
    theStrip.draw();
    drawAlarm(part("alarm"), full.alarm);
    fill(part("play"), {"aria-pressed": String(shown.playing)});
    part("play").textContent = shown.playing ? "Pause" : "Train";
  }
  const drawSoon = eachFrame(draw);

  trainer.onmessage = ({data: shown}) => {
    if (shown.plan.from !== state.plan.from) state.plan = shown.plan; // a new page began
    state.shown = shown;
    if (shown.lists) {
      const before = state.full;
      state.full = shown;
      state.trace.push({rate: shown.rate, distortion: shown.distortion});
      if (state.trace.length > 1500) state.trace.shift();
      tell(body, shown);
      if (!shown.playing || !before || before.alarm.on !== shown.alarm.on) say(summary(shown));
    }
    drawSoon();
  };
  trainer.onerror = (event) => {
    event.preventDefault();
    part("alarm").textContent = `Training stopped: ${event.message}`;
  };

  part("play").addEventListener("click", () => order(state.shown && state.shown.playing ? "pause" : "play"));
  part("step").addEventListener("click", () => order("step"));
  part("reset").addEventListener("click", () => restart(schedule.flat(0.2)));
  slider.addEventListener("input", () => setPlan(
    schedule.hold(state.plan, state.shown ? state.shown.step : 0, schedule.STOPS[slider.value])));
  for (const button of body.querySelectorAll("[data-plan]")) {
    button.addEventListener("click", () => {
      restart(schedule.preset(button.dataset.plan, 0));
      order("play", {until: schedule.SPAN});
    });
  }

  order("setup", {...SETUP, size: {...SETUP.size, films: data.films.length},
                  histories: data.histories, plan: state.plan});
  watch(body, state, order);
  return drawSoon;
}

// Train by itself for a moment when the reader first sees it, and never out of sight.
function watch(body, state, order) {
  let greeted = calm();
  new IntersectionObserver(([entry]) => {
    if (!entry.isIntersecting) order("pause");
    else if (!greeted) {
      greeted = true;
      order("play", {until: FIRST_SHOW});
    }
  }, {threshold: 0.4}).observe(body);
}

function drawAlarm(node, {on, distinct, shared}) {
  node.classList.toggle("on", on);
  const numbers = `${distinct} films in all tens, pairs share ${Math.round(100 * shared)} %`;
  node.replaceChildren(html("strong", {}, on ? "⚠ Collapsed: one list for all" : "✓ Lists differ"),
                       html("span", {}, numbers));
}

function summary({step, beta, rate, distortion, alarm: {on, distinct, shared}}) {
  return `Step ${step}, beta ${shorten(beta)}: rate ${number(rate)} and distortion ${number(distortion)} nats. `
    + `${distinct} films stand in anybody's ten, two people share ${Math.round(100 * shared)} percent. `
    + (on ? "Alarm: collapsed, one list for all." : "No alarm.");
}

// For tests and for readers with the inspector: the numbers behind the picture.
function tell(body, {step, beta, rate, distortion, playing, alarm}) {
  Object.assign(body.dataset, {step, beta, rate, distortion, playing, collapsed: alarm.on,
                               distinct: alarm.distinct, shared: alarm.shared});
}

function drawWheel(node) {
  const spokes = Array.from({length: 12}, (_, i) => {
    const angle = i * Math.PI / 6;
    const [c, s] = [Math.cos(angle), -Math.sin(angle)];
    return svg("line", {x1: 3 * c, y1: 3 * s, x2: 11 * c, y2: 11 * s, stroke: tint(angle, 1, false)});
  });
  node.replaceChildren(...spokes);
}

// ---- The linear VAE ----------------------------------------------------------------------------------------

function startLinear(part, data, say, body) {
  const slider = part("linear-beta");
  let beta = 2;
  const drawBars = linearTab(part("bars"), data, (chosen) => {
    beta = chosen;
    slider.value = Math.log10(beta);
    drawSoon();
  });
  function draw() {
    if (part("linear").hidden) return;
    const now = drawBars(beta);
    drawLinearCurve(part("curve"), data, beta);
    const alive = now.alive.filter(Boolean).length;
    part("linear-value").textContent = beta.toFixed(2);
    slider.setAttribute("aria-valuetext", `beta ${beta.toFixed(2)}`);
    const node = part("units");
    node.classList.toggle("on", alive === 0);
    const numbers = `rate ${number(now.rate)} and distortion ${number(now.distortion)} nats`;
    node.replaceChildren(html("strong", {}, alive ? `${alive} of ${now.alive.length} units alive`
      : "⚠ All units dark: collapsed"), html("span", {}, numbers));
    Object.assign(body.dataset, {linearBeta: beta, alive, linearRate: now.rate, linearDistortion: now.distortion});
    say(`Beta ${beta.toFixed(2)}: ${alive} of ${now.alive.length} units alive, ${numbers}.`);
  }
  const drawSoon = eachFrame(draw);
  slider.addEventListener("input", () => { beta = 10 ** Number(slider.value); drawSoon(); });
  slider.value = Math.log10(beta);
  return drawSoon;
}

register("collapse", {
  start, model: {randomNumbers, shapes, startWeights, encode, lossAndGradient, measure, adam, topLists, collapseAlarm},
  schedule, linearVae,
});
