// MVAE in plain JavaScript, as in chapter 6: films -> a cloud of tastes -> a score for each film.
// A matrix [R, C] is one array, row after row. H is the width of the hidden layer, L the numbers of a taste.

// out = weight x + bias, for weight [R, C] and x [C].
function linear(weight, bias, x) {
  return Float64Array.from(bias, (start, r) => {
    let sum = start;
    for (let c = 0; c < x.length; c++) sum += weight[r * x.length + c] * x[c];
    return sum;
  });
}

// The encoder: the cloud q(z | films), a centre and a width for each of the L numbers.
// Nobody's films say nothing: then the cloud is the prior, centre 0 and width 1.
function encode(model, films) {
  const latent = model.encoderBias.data.length / 2;
  if (films.length === 0) return {centre: new Float64Array(latent), width: new Float64Array(latent).fill(1)};
  const hidden = Float64Array.from(model.firstBias.data);
  const share = 1 / Math.sqrt(films.length); // a row of n ones has length 1 after it is divided by the root of n
  for (const film of films) {
    for (let h = 0; h < hidden.length; h++) hidden[h] += share * model.first.data[film * hidden.length + h];
  }
  const out = linear(model.encoder.data, model.encoderBias.data, hidden.map(Math.tanh));
  return {
    centre: out.slice(0, latent),
    width: out.slice(latent).map((logvar) => Math.exp(logvar / 2)),
  };
}

// The decoder: a score (logit) for every film of the catalogue.
function decode(model, taste) {
  const hidden = linear(model.decoder.data, model.decoderBias.data, taste).map(Math.tanh);
  return linear(model.last.data, model.lastBias.data, hidden);
}

// The k best films that were not watched, best first.
function best(scores, watched, k) {
  const seen = new Set(watched);
  return Array.from(scores.keys())
    .filter((film) => !seen.has(film))
    .sort((a, b) => scores[b] - scores[a] || a - b)
    .slice(0, k);
}

// Numbers between 0 and 1 from a seed (Mulberry32): the same on every machine.
function chance(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// One taste drawn from the cloud: centre + width times a number from N(0, 1) (Box and Muller 1958).
function draw(cloud, random) {
  return cloud.centre.map((mean, i) => mean + cloud.width[i]
    * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}
