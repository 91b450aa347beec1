// Six films, one taste z: ELBO + gap = log p(x), by the same grid as vaerec.datasets.six_films.

// The tests compare this block with the Python package. It is plain JSON.
const WORLD = {
  "titles": ["Umbrella Tango", "The Second Goat", "Sunday Tram", "Paper Harbour", "Nine Lamps",
             "Rain on Bela Street"],
  "slope": [-2.0, -1.2, -0.4, 0.4, 1.2, 2.0],
  "bias": [0.6, 0.0, 0.3, 0.2, 0.0, 0.4],
  "step": 0.00390625,
  "limit": 12
};

// ---- The world on its grid ---------------------------------------------------------------

const STEP = WORLD.step;
const GRID = Float64Array.from({length: 2 * WORLD.limit / STEP + 1},
                               (_, g) => g * STEP - WORLD.limit);
const HALF_LOG_2_PI = 0.5 * Math.log(2 * Math.PI);

function logSumExp(values) {
  let top = -Infinity;
  for (const value of values) top = Math.max(top, value);
  let sum = 0;
  for (const value of values) sum += Math.exp(value - top);
  return top + Math.log(sum);
}

function logNormal(z, mu, sigma) {
  const t = (z - mu) / sigma;
  return -0.5 * t * t - Math.log(sigma) - HALF_LOG_2_PI;
}

// Log-probability of each film at each place: [6][G].
const LOG_PI = WORLD.slope.map(() => new Float64Array(GRID.length));
GRID.forEach((z, g) => {
  const scores = WORLD.slope.map((slope, i) => slope * z + WORLD.bias[i]);
  const norm = logSumExp(scores);
  scores.forEach((score, i) => { LOG_PI[i][g] = score - norm; });
});
const LOG_PRIOR = GRID.map((z) => logNormal(z, 0, 1));

// What a history says, on the grid.
function study(counts) {
  const logLikelihood = new Float64Array(GRID.length);
  counts.forEach((n, i) => {
    for (let g = 0; n && g < GRID.length; g++) logLikelihood[g] += n * LOG_PI[i][g];
  });
  const logJoint = logLikelihood.map((value, g) => value + LOG_PRIOR[g]);
  const evidence = logSumExp(logJoint) + Math.log(STEP);
  return {logLikelihood, evidence, logPosterior: logJoint.map((value) => value - evidence)};
}

// The parts of the identity for one q, each by its own definition.
function measure(seen, mu, sigma) {
  const next = new Array(WORLD.slope.length).fill(0);
  let explained = 0;
  let gap = 0;
  for (let g = 0; g < GRID.length; g++) {
    const logQ = logNormal(GRID[g], mu, sigma);
    const weight = Math.exp(logQ) * STEP;
    if (weight === 0) continue;
    explained += weight * seen.logLikelihood[g];
    gap += weight * (logQ - seen.logPosterior[g]);
    for (let i = 0; i < next.length; i++) next[i] += weight * Math.exp(LOG_PI[i][g]);
  }
  const rate = 0.5 * (mu * mu + sigma * sigma - 1 - 2 * Math.log(sigma));
  return {explained, rate, elbo: explained - rate, gap, next};
}

// The q with the highest ELBO: walk in the mean and in log sigma, halving the stride.
function bestQ(seen) {
  const value = (mu, logSigma) => {
    const sigma = Math.exp(logSigma);
    let explained = 0;
    for (let g = 0; g < GRID.length; g++) {
      const t = (GRID[g] - mu) / sigma;
      if (t > -9 && t < 9) explained += Math.exp(-0.5 * t * t) * seen.logLikelihood[g];
    }
    return explained * STEP / (sigma * Math.exp(HALF_LOG_2_PI))
      - 0.5 * (mu * mu + sigma * sigma - 1 - 2 * logSigma);
  };
  let [mu, logSigma] = [0, 0];
  let top = value(mu, logSigma);
  for (let stride = 0.5; stride > 1e-6;) {
    const tries = [[stride, 0], [-stride, 0], [0, stride], [0, -stride]]
      .map(([a, b]) => [mu + a, logSigma + b]);
    const better = tries.find(([a, b]) => value(a, b) > top);
    if (better) {
      [mu, logSigma] = better;
      top = value(mu, logSigma);
    } else {
      stride /= 2;
    }
  }
  return [mu, Math.exp(logSigma)];
}
