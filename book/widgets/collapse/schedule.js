// The plan for beta: one value for each ten steps of a page of training. Drawn, set by presets, or by keys.
const schedule = (() => {
  const CELLS = 100;
  const STEPS = 10; // of training in a cell
  const SPAN = CELLS * STEPS;
  const HANDLES = 11; // for the keyboard, at the cells 0, 10, ... and at the last
  const [LOW, HIGH] = [0.01, 20];
  const STOPS = [0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12, 20];

  const within = (beta) => Math.min(HIGH, Math.max(LOW, beta));
  const flat = (beta, from = 0) => ({from, betas: new Array(CELLS).fill(within(beta))});
  const cellAt = (plan, step) => Math.min(CELLS - 1, Math.max(0, Math.floor((step - plan.from) / STEPS)));
  const betaAt = (plan, step) => plan.betas[cellAt(plan, step)];
  const cellOf = (handle) => Math.min(CELLS - 1, handle * CELLS / (HANDLES - 1));

  // The stop nearest to a beta, by its place; and the beta some stops higher.
  const nearest = (beta) => STOPS.reduce(
    (best, stop, i) => (Math.abs(Math.log(stop / beta)) < Math.abs(Math.log(STOPS[best] / beta)) ? i : best), 0);
  const stop = (beta, higher) => STOPS[Math.min(STOPS.length - 1, Math.max(0, nearest(beta) + higher))];

  // A new page of training when the old one is over: the last value goes on.
  const page = (plan, step) => (step < plan.from + SPAN ? plan
    : flat(plan.betas[CELLS - 1], plan.from + SPAN));

  // beta from this step on.
  function hold(plan, step, beta) {
    const first = cellAt(plan, step);
    return {...plan, betas: plan.betas.map((old, cell) => (cell < first ? old : within(beta)))};
  }

  // A straight stroke in log beta between two cells; what lies before `step` is past and stays.
  function stroke(plan, step, [cellA, betaA], [cellB, betaB]) {
    const [left, right] = cellA <= cellB ? [cellA, cellB] : [cellB, cellA];
    const [from, to] = (cellA <= cellB ? [betaA, betaB] : [betaB, betaA]).map((b) => Math.log(within(b)));
    const first = cellAt(plan, step);
    return {...plan, betas: plan.betas.map((old, cell) => {
      if (cell < first || cell < left || cell > right) return old;
      return Math.exp(right === left ? to : from + (to - from) * (cell - left) / (right - left));
    })};
  }

  // Move one handle; straight lines to its two neighbours.
  function bend(plan, step, handle, beta) {
    const ends = [handle - 1, handle + 1].filter((other) => other >= 0 && other < HANDLES);
    return ends.reduce((bent, other) => {
      const cell = cellOf(other);
      return stroke(bent, step, [cell, plan.betas[cell]], [cellOf(handle), beta]);
    }, plan);
  }

  const shapes = {
    constant: () => 0.2,
    climb: (t) => 0.01 * (0.2 / 0.01) ** Math.min(1, 2 * t),     // slowly up to .2
    cycles: (t) => 0.01 * (12 / 0.01) ** (4 * t % 1),            // four times up to 12, and back
    wave: (t) => (t < 0.25 || t >= 0.5 ? 0.2 : 12),              // collapse, and back
  };
  const preset = (name, from) => ({
    from, betas: Array.from({length: CELLS}, (_, cell) => within(shapes[name](cell / CELLS)))});

  return {STOPS, nearest, stop, CELLS, STEPS, SPAN, HANDLES, LOW, HIGH, flat, page, hold, stroke, bend,
          preset, betaAt, cellAt, cellOf};
})();
