// The small VAE of the collapse machine: encoder I-H-(mu, logvar), decoder L-H-I, tanh between, multinomial
// likelihood: vaerec.models.MVAE without dropout. Only maths; the worker that trains has the same text.
//
// Letters: U users, I films, H hidden units, L = 2 latent units. Matrices are flat, row after row.

// ---- Chance: a seeded generator (mulberry32) and normal numbers from it (Box and Muller) -------------

function randomNumbers(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6D2B79F5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return {uniform, normal};
}

// ---- Parameters ---------------------------------------------------------------------------------------

// Names and shapes [outputs, inputs] as in PyTorch; only the first layer has a row a film.
function shapes({films, hidden, latent}) {
  return {
    first: [films, hidden], firstBias: [hidden],           // I -> H, summed over a history's films
    code: [2 * latent, hidden], codeBias: [2 * latent],    // H -> mu and logvar
    inner: [hidden, latent], innerBias: [hidden],          // L -> H
    last: [films, hidden], lastBias: [films],              // H -> I
  };
}

// Xavier's uniform weights, biases near zero.
function startWeights(size, seed) {
  const {uniform, normal} = randomNumbers(seed);
  const weights = {};
  for (const [name, shape] of Object.entries(shapes(size))) {
    const bound = shape.length === 2 ? Math.sqrt(6 / (shape[0] + shape[1])) : 0;
    weights[name] = Float64Array.from({length: shape.reduce((a, b) => a * b)},
                                      () => (bound ? bound * (2 * uniform() - 1) : 0.001 * normal()));
  }
  return weights;
}

// ---- Forward ------------------------------------------------------------------------------------------

// y [n, outputs] = x [n, inputs] W^T + b
function linear(x, weight, bias, n) {
  const outputs = bias.length;
  const inputs = weight.length / outputs;
  const y = new Float64Array(n * outputs);
  for (let row = 0; row < n; row++) {
    for (let o = 0; o < outputs; o++) {
      let sum = bias[o];
      for (let i = 0; i < inputs; i++) sum += weight[o * inputs + i] * x[row * inputs + i];
      y[row * outputs + o] = sum;
    }
  }
  return y;
}

// A history becomes H numbers: the rows of its films, added up and divided by the root of how many.
function embed(weights, size, histories) {
  const h = new Float64Array(histories.length * size.hidden);
  histories.forEach((films, user) => {
    const scale = 1 / Math.sqrt(films.length);
    for (let j = 0; j < size.hidden; j++) {
      let sum = 0;
      for (const film of films) sum += weights.first[film * size.hidden + j];
      h[user * size.hidden + j] = Math.tanh(weights.firstBias[j] + scale * sum);
    }
  });
  return h;
}

// Mean and log-variance of each user's cloud, each [U, L].
function encode(weights, size, histories) {
  const h = embed(weights, size, histories);
  const code = linear(h, weights.code, weights.codeBias, histories.length); // [U, 2 L]
  const mu = new Float64Array(histories.length * size.latent);
  const logvar = new Float64Array(mu.length);
  for (let k = 0; k < mu.length; k++) {
    const at = Math.floor(k / size.latent) * 2 * size.latent + k % size.latent;
    mu[k] = code[at];
    logvar[k] = code[at + size.latent];
  }
  return {h, mu, logvar};
}

// Logits over the films, [U, I].
function decode(weights, z, n) {
  const g = linear(z, weights.inner, weights.innerBias, n).map(Math.tanh);
  return {g, logits: linear(g, weights.last, weights.lastBias, n)};
}

// Distortion and rate in nats a user, as in the loss, for given noise.
function measure(weights, size, histories, noise) {
  const {mu, logvar} = encode(weights, size, histories);
  const z = mu.map((value, k) => value + Math.exp(0.5 * logvar[k]) * noise[k]);
  const {logits} = decode(weights, z, histories.length);
  let distortion = 0;
  histories.forEach((films, user) => {
    const row = user * size.films;
    const norm = logSumExp(logits, row, row + size.films);
    for (const film of films) distortion += (norm - logits[row + film]) / histories.length;
  });
  const rate = mu.reduce((sum, value, k) => sum + kl(value, logvar[k]), 0) / histories.length;
  return {mu, logvar, distortion, rate};
}

function logSumExp(values, from, to) {
  let top = -Infinity;
  for (let i = from; i < to; i++) top = Math.max(top, values[i]);
  let sum = 0;
  for (let i = from; i < to; i++) sum += Math.exp(values[i] - top);
  return top + Math.log(sum);
}

// From N(mu, sigma^2) to N(0, 1), in nats.
const kl = (mu, logvar) => 0.5 * (mu * mu + Math.exp(logvar) - 1 - logvar);

// ---- Loss and gradient --------------------------------------------------------------------------------

// distortion + beta * rate, in nats a user, and its gradient, for given noise [U, L].
function lossAndGradient(weights, size, histories, noise, beta) {
  const users = histories.length;
  const {h, mu, logvar} = encode(weights, size, histories);
  const z = mu.map((value, k) => value + Math.exp(0.5 * logvar[k]) * noise[k]);
  const {g, logits} = decode(weights, z, users);
  const gradient = Object.fromEntries(
    Object.entries(weights).map(([name, value]) => [name, new Float64Array(value.length)]));

  // The softmax: d distortion / d logit = (films seen * probability - seen) / users.
  let distortion = 0;
  const slope = new Float64Array(logits.length);
  histories.forEach((films, user) => {
    const row = user * size.films;
    const norm = logSumExp(logits, row, row + size.films);
    for (let i = 0; i < size.films; i++) slope[row + i] = films.length * Math.exp(logits[row + i] - norm) / users;
    distortion += films.length * norm / users;
    for (const film of films) {
      distortion -= logits[row + film] / users;
      slope[row + film] -= 1 / users;
    }
  });
  const slopeG = back(slope, g, weights.last, gradient.last, gradient.lastBias, users);
  const slopeInner = slopeG.map((value, k) => value * (1 - g[k] * g[k]));
  const slopeZ = back(slopeInner, z, weights.inner, gradient.inner, gradient.innerBias, users);

  // The rate, and z = mu + sigma * noise.
  let rate = 0;
  const slopeCode = new Float64Array(2 * mu.length);
  for (let k = 0; k < mu.length; k++) {
    const variance = Math.exp(logvar[k]);
    rate += kl(mu[k], logvar[k]) / users;
    const at = Math.floor(k / size.latent) * 2 * size.latent + k % size.latent;
    slopeCode[at] = slopeZ[k] + beta * mu[k] / users;
    slopeCode[at + size.latent] = slopeZ[k] * 0.5 * Math.sqrt(variance) * noise[k]
      + beta * 0.5 * (variance - 1) / users;
  }
  const slopeH = back(slopeCode, h, weights.code, gradient.code, gradient.codeBias, users);
  histories.forEach((films, user) => {
    const scale = 1 / Math.sqrt(films.length);
    for (let j = 0; j < size.hidden; j++) {
      const k = user * size.hidden + j;
      const value = slopeH[k] * (1 - h[k] * h[k]);
      gradient.firstBias[j] += value;
      for (const film of films) gradient.first[film * size.hidden + j] += scale * value;
    }
  });
  return {loss: distortion + beta * rate, distortion, rate, gradient};
}

// Through a linear layer: adds to the gradients of W and b, returns that of x [n, inputs].
function back(slope, x, weight, forWeight, forBias, n) {
  const outputs = forBias.length;
  const inputs = weight.length / outputs;
  const forX = new Float64Array(n * inputs);
  for (let row = 0; row < n; row++) {
    for (let o = 0; o < outputs; o++) {
      const s = slope[row * outputs + o];
      forBias[o] += s;
      for (let i = 0; i < inputs; i++) {
        forWeight[o * inputs + i] += s * x[row * inputs + i];
        forX[row * inputs + i] += s * weight[o * inputs + i];
      }
    }
  }
  return forX;
}

// ---- Adam, as torch.optim.Adam ------------------------------------------------------------------------

function adam(weights, rate) {
  const [keep, keepSquare, tiny] = [0.9, 0.999, 1e-8];
  const zeros = () => Object.fromEntries(
    Object.entries(weights).map(([name, value]) => [name, new Float64Array(value.length)]));
  const [mean, square] = [zeros(), zeros()];
  let step = 0;
  return (gradient) => {
    step++;
    const stride = rate / (1 - keep ** step);
    const correction = Math.sqrt(1 - keepSquare ** step);
    for (const [name, value] of Object.entries(weights)) {
      const [m, v, slope] = [mean[name], square[name], gradient[name]];
      for (let k = 0; k < value.length; k++) {
        m[k] = keep * m[k] + (1 - keep) * slope[k];
        v[k] = keepSquare * v[k] + (1 - keepSquare) * slope[k] * slope[k];
        value[k] -= stride * m[k] / (Math.sqrt(v[k]) / correction + tiny);
      }
    }
  };
}

// ---- The collapse alarm of vaerec.evaluate: on unmasked lists of k films -------------------------------

function topLists(weights, size, histories, k) {
  const {mu} = encode(weights, size, histories);
  const {logits} = decode(weights, mu, histories.length);
  return histories.map((_, user) => {
    const row = logits.subarray(user * size.films, (user + 1) * size.films);
    return Array.from(row.keys()).sort((a, b) => row[b] - row[a]).slice(0, k);
  });
}

// distinct: films in anybody's list. shared: mean share of common films over all pairs of users.
function collapseAlarm(lists, films) {
  const users = lists.length;
  const k = lists[0].length;
  const counts = new Float64Array(films);
  for (const list of lists) for (const film of list) counts[film]++;
  const distinct = counts.filter((count) => count > 0).length;
  const pairs = counts.reduce((sum, count) => sum + count * (count - 1), 0);
  const shared = pairs / ((users - 1) * users * k);
  return {distinct, shared, on: distinct <= 1.5 * k || shared > 0.9};
}
