// Trains in a worker, so that the page answers the hand meanwhile. Messages in: {name, ...}; out: what to show.
const MEASURE_EVERY = 4; // steps between two measurements of all lists
const PACE = 16;         // milliseconds a step at least: a screen shows no more
let setup, run, timer;

function restart() {
  const weights = startWeights(setup.size, setup.seed);
  run = {weights, step: 0, plan: setup.plan, noise: randomNumbers(setup.seed + 1),
         update: adam(weights, setup.rate)};
}

const roll = (generator) => Float64Array.from({length: setup.histories.length * setup.size.latent},
                                              () => generator.normal());

function train() {
  const beta = schedule.betaAt(run.plan, run.step);
  const {gradient} = lossAndGradient(run.weights, setup.size, setup.histories, roll(run.noise), beta);
  run.update(gradient);
  run.step++;
  run.plan = schedule.page(run.plan, run.step);
}

// Each frame gets the clouds; now and then everything is measured, always with the same roll of the dice, so
// that only training moves the numbers.
function show(all) {
  const {mu, logvar} = encode(run.weights, setup.size, setup.histories);
  const shown = {step: run.step, plan: run.plan, beta: schedule.betaAt(run.plan, run.step),
                 mu, sigma: logvar.map((value) => Math.exp(0.5 * value)), playing: Boolean(timer)};
  if (all) {
    const {distortion, rate} = measure(run.weights, setup.size, setup.histories, setup.dice);
    const lists = topLists(run.weights, setup.size, setup.histories, setup.k);
    Object.assign(shown, {distortion, rate, lists, alarm: collapseAlarm(lists, setup.size.films)});
  }
  postMessage(shown);
}

function pause() {
  clearTimeout(timer);
  timer = undefined;
}

function play(until) {
  const began = Date.now();
  train();
  const over = run.step >= until;
  timer = over ? undefined : setTimeout(play, Math.max(0, PACE - (Date.now() - began)), until);
  show(over || run.step % MEASURE_EVERY === 0);
}

const ORDERS = {
  setup(message) {
    setup = message;
    setup.dice = roll(randomNumbers(setup.seed + 2));
    restart();
    show(true);
  },
  reset({plan}) { pause(); setup.plan = plan; restart(); show(true); },
  plan({plan}) { run.plan = schedule.page(plan, run.step); show(false); },
  step() { pause(); train(); show(true); },
  play({until = Infinity}) { if (!timer) play(until); },
  pause() { if (timer) { pause(); show(true); } },
};

onmessage = ({data: {name, ...message}}) => ORDERS[name](message);
