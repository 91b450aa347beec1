// SVAE in plain JavaScript, as in chapter 7: it reads film after film, and each one changes its state.

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

// One step of the GRU. PyTorch keeps the three gates below each other: reset r, update u, candidate n.
function step(model, film, state) {
  const units = state.length;
  const embedded = model.embedding.data.subarray(film * model.embedding.shape[1], (film + 1) * model.embedding.shape[1]);
  const a = linear(model.inputs.data, model.inputsBias.data, embedded); // [3 H], from the film
  const b = linear(model.state.data, model.stateBias.data, state); // [3 H], from what was read before
  return state.map((old, i) => {
    const r = sigmoid(a[i] + b[i]);
    const u = sigmoid(a[units + i] + b[units + i]);
    const n = Math.tanh(a[2 * units + i] + r * b[2 * units + i]);
    return n + u * (old - n);
  });
}

// The state after a history, oldest film first: [H].
function readFilms(model, films) {
  const start = new Float64Array(model.state.shape[1]);
  return films.reduce((state, film) => step(model, film, state), start);
}

// The centre of the cloud of tastes after a state: the first half of what the encoder says.
function infer(model, state) {
  const hidden = linear(model.hidden.data, model.hiddenBias.data, state).map(Math.tanh);
  const out = linear(model.cloud.data, model.cloudBias.data, hidden);
  return out.slice(0, out.length / 2);
}

const scoresInOrder = (model, films) => decode(model, infer(model, readFilms(model, films)));
const scoresOfBag = (model, films) => decode(model, encode(model, films).centre);
