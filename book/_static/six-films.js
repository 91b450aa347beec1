// The page book/six-films: ELBO + gap = log p(x), by the same grid as vaerec.datasets.six_films.
(() => {
  "use strict";

  // The tests compare this block with the Python package. It is plain JSON.
  const WORLD = {
    "titles": ["Umbrella Tango", "The Second Goat", "Sunday Tram", "Paper Harbour", "Nine Lamps",
               "Rain on Bela Street"],
    "slope": [-2.0, -1.2, -0.4, 0.4, 1.2, 2.0],
    "bias": [0.6, 0.0, 0.3, 0.2, 0.0, 0.4],
    "step": 0.00390625,
    "limit": 12
  };

  const root = document.getElementById("six-films");
  if (!root) return;
  root.world = WORLD;
  const part = (name) => document.getElementById(`six-films-${name}`);

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

  // ---- The controls ------------------------------------------------------------------------

  const sliders = {mu: part("mu"), sigma: part("sigma"), times: part("times")};
  const state = {mu: 0, sigma: 1, seen: null};

  WORLD.titles.forEach((title, i) => {
    const row = document.createElement("div");
    row.className = "six-films-film";
    row.innerHTML = `<label><input type="checkbox" id="six-films-film-${i}"></label>
      <span aria-hidden="true"><span class="share"></span></span><span class="percent"></span>`;
    row.querySelector("label").append(title);
    part("list").append(row);
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
  let run = 0;
  function moveTo(mu, sigma) {
    const mine = ++run;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return setQ(mu, sigma);
    const [fromMu, fromSigma, start] = [state.mu, state.sigma, performance.now()];
    const frame = (now) => {
      if (mine !== run) return;
      const t = Math.min(1, Math.max(0, (now - start) / 500));
      if (t === 1) return setQ(mu, sigma);
      setQ(fromMu + t * (mu - fromMu), fromSigma + t * (sigma - fromSigma));
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  for (const name of ["mu", "sigma"]) {
    sliders[name].addEventListener("input", () => {
      run++;
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

  // ---- The drawing -------------------------------------------------------------------------

  const say = (value, digits = 3) => value.toFixed(digits).replace("-", "−").replace(/^−(0\.?0*)$/, "$1");
  let speaking;

  function draw() {
    const {mu, sigma, seen} = state;
    const now = measure(seen, mu, sigma);
    Object.assign(root.dataset, {
      mu, sigma, evidence: seen.evidence, explained: now.explained, rate: now.rate, elbo: now.elbo,
      gap: now.gap, next: JSON.stringify(now.next),
    });
    for (const name of ["mu", "sigma"]) {
      part(`${name}-value`).textContent = say(state[name], 2);
      sliders[name].setAttribute("aria-valuetext", state[name].toFixed(2));
    }
    root.querySelectorAll(".six-films-film").forEach((row, i) => {
      row.querySelector(".share").style.width = `${100 * now.next[i]}%`;
      row.querySelector(".percent").textContent = `${Math.round(100 * now.next[i])} %`;
    });
    drawDensities(seen, mu, sigma);
    drawBar(seen, now);
    const text = `ELBO ${say(now.elbo)} + gap ${say(now.gap)} = log p(x) ${say(seen.evidence)} nats. `
      + `The ELBO is what q explains, ${say(now.explained)}, minus its rate, ${say(now.rate)}.`;
    // A screen reader hears where a movement ends, not every step of it.
    clearTimeout(speaking);
    speaking = setTimeout(() => { part("summary").textContent = text; }, part("summary").textContent ? 250 : 0);
  }

  function canvas(name, height, body) {
    const svg = part(name);
    const width = Math.max(280, svg.clientWidth);
    const title = svg.querySelector("title").outerHTML;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = `${height}px`;
    svg.innerHTML = title + body(width);
  }

  const line = (className, x1, y1, x2, y2) =>
    `<line class="${className}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
  const words = (x, y, text, anchor = "middle") =>
    `<text x="${x}" y="${y}" text-anchor="${anchor}">${text}</text>`;

  function drawDensities(seen, mu, sigma) {
    const [height, floor, edge] = [280, 225, 3];
    let peak = 0;
    for (const value of seen.logPosterior) peak = Math.max(peak, Math.exp(value));
    const scale = (floor - 30) / Math.max(0.8, 1.6 * peak);
    canvas("densities", height, (width) => {
      const x = (z) => (z + edge) / (2 * edge) * (width - 24) + 12;
      const curve = (density) => {
        let path = "";
        for (let g = (WORLD.limit - edge) / STEP; g <= (WORLD.limit + edge) / STEP; g += 4) {
          path += `${path ? "L" : "M"}${x(GRID[g]).toFixed(1)} ${(floor - scale * density(g)).toFixed(2)}`;
        }
        return path;
      };
      const q = curve((g) => Math.exp(logNormal(GRID[g], mu, sigma)));
      let body = `<defs><clipPath id="six-films-clip"><rect x="0" y="28" width="${width}"
        height="${floor - 27}"/></clipPath></defs><g clip-path="url(#six-films-clip)">
        <path class="q-fill" d="${q}L${x(edge)} ${floor}L${x(-edge)} ${floor}Z"/>
        <path class="q" d="${q}"/>
        <path class="prior" d="${curve((g) => Math.exp(LOG_PRIOR[g]))}"/>
        <path class="posterior" d="${curve((g) => Math.exp(seen.logPosterior[g]))}"/></g>`;
      body += line("axis", 12, floor, width - 12, floor);
      for (let z = -edge; z <= edge; z++) body += words(x(z), floor + 18, say(z, 0));
      body += words(12, floor + 42, "← comedy", "start") + words(width / 2, floor + 42, "taste z")
        + words(width - 12, floor + 42, "noir →", "end");
      [["prior", 12], ["posterior", 92], ["q", 202]].forEach(([name, left]) => {
        body += line(name, left, 14, left + 28, 14) + words(left + 34, 19, name, "start");
      });
      return body;
    });
  }

  function drawBar(seen, now) {
    const [height, top, thick] = [118, 36, 36];
    let span = 4; // nats from the left end to the line; doubled for a large gap
    while (now.gap > 0.95 * span) span *= 2;
    canvas("bar", height, (width) => {
      const right = width - 40; // where the line of log p(x) stands, always
      const x = (nats) => right - (seen.evidence - nats) / span * (right - 12);
      const end = Math.min(right, Math.max(12, x(now.elbo)));
      let body = `<defs><pattern id="six-films-hatch" width="9" height="9" patternUnits="userSpaceOnUse"
        patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="9"/></pattern></defs>
        <rect class="elbo" x="12" y="${top}" width="${end - 12}" height="${thick}"/>
        <rect class="gap" x="${end}" y="${top}" width="${right - end}" height="${thick}"/>`;
      body += line("evidence", right, top - 9, right, top + thick + 10);
      body += words(12, 20, `ELBO ${say(now.elbo)}`, "start")
        + words(width - 12, 20, `gap ${say(now.gap)} · log p(x) ${say(seen.evidence)}`, "end");
      body += line("axis", 12, top + thick + 10, width - 12, top + thick + 10);
      for (let i = 0; i <= 4; i++) {
        const nats = seen.evidence - span * (1 - i / 4);
        body += words(Math.max(26, x(nats)), top + thick + 28, say(nats, 1));
      }
      return body + words(right / 2, height - 2, "nats");
    });
  }

  root.hidden = false;
  part("fallback").remove();
  readHistory();
  draw();
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (root.clientWidth !== width) {
      width = root.clientWidth;
      draw();
    }
  }).observe(root);
})();
