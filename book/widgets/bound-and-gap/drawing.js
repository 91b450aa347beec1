// The curves over the taste, with the three places where the hand takes q, and the two bars of equal length.
const EDGE = 3; // the axis shows z from -EDGE to EDGE

// An SVG whose unit is a CSS pixel at every width; its title stays.
function canvas(node, parts) {
  const {clientWidth: width, clientHeight: height} = node;
  node.setAttribute("viewBox", `0 0 ${width} ${height}`);
  node.replaceChildren(node.querySelector("title"), ...parts(width, height));
}

const line = (name, x1, y1, x2, y2) => svg("line", {class: name, x1, y1, x2, y2});
const words = (x, y, text, anchor = "middle", name = "") =>
  svg("text", {x, y, "text-anchor": anchor, class: name || null}, text);

// ---- Densities -------------------------------------------------------------------------------------------

// Where the curves stand: pixels of a taste and of a density, and back.
function placing(node, seen) {
  const {clientWidth: width, clientHeight: height} = node;
  const floor = height - 46;
  let peak = 0;
  for (const value of seen.logPosterior) peak = Math.max(peak, Math.exp(value));
  const scale = (floor - 34) / Math.max(0.8, 1.6 * peak);
  return {
    floor, left: 12, right: width - 12,
    x: (z) => (z + EDGE) / (2 * EDGE) * (width - 24) + 12,
    y: (density) => floor - scale * density,
    z: (px) => (px - 12) / (width - 24) * 2 * EDGE - EDGE,
  };
}

// The top of q and its two shoulders, one width away from the mean.
function handlesOf({x, y, left, right}, mu, sigma) {
  const density = (z) => Math.exp(logNormal(z, mu, sigma));
  return [["top", mu], ["left", mu - sigma], ["right", mu + sigma]]
    .map(([name, z]) => ({name, x: Math.min(right, Math.max(left, x(z))), y: Math.max(34, y(density(z)))}));
}

function drawDensities(node, seen, mu, sigma) {
  const place = placing(node, seen);
  const {floor, x, y} = place;
  canvas(node, (width) => {
    const curve = (density) => {
      let path = "";
      for (let g = (WORLD.limit - EDGE) / STEP; g <= (WORLD.limit + EDGE) / STEP; g += 4) {
        path += `${path ? "L" : "M"}${x(GRID[g]).toFixed(1)} ${y(density(g)).toFixed(2)}`;
      }
      return path;
    };
    const q = curve((g) => Math.exp(logNormal(GRID[g], mu, sigma)));
    const clip = svg("clipPath", {id: "six-films-clip"}, svg("rect", {y: 28, width, height: floor - 27}));
    const ticks = [-3, -2, -1, 0, 1, 2, 3].map((z) => words(x(z), floor + 18, number(z, 0)));
    const key = [["prior", 12], ["posterior", 96], ["q", 206]].flatMap(([name, left]) => [
      line(name, left, 14, left + 28, 14), words(left + 34, 19, name, "start")]);
    return [
      svg("defs", {}, clip),
      svg("g", {"clip-path": "url(#six-films-clip)"},
          svg("path", {class: "q-fill", d: `${q}L${x(EDGE)} ${floor}L${x(-EDGE)} ${floor}Z`}),
          svg("path", {class: "prior", d: curve((g) => Math.exp(LOG_PRIOR[g]))}),
          svg("path", {class: "posterior", d: curve((g) => Math.exp(seen.logPosterior[g]))}),
          svg("path", {class: "q", d: q})),
      line("axis", 12, floor, width - 12, floor), ...ticks,
      words(12, floor + 38, "← comedy", "start"), words(width / 2, floor + 38, "taste z"),
      words(width - 12, floor + 38, "noir →", "end"), ...key,
      ...handlesOf(place, mu, sigma).map((at) => svg("circle", {class: `grip ${at.name}`, cx: at.x, cy: at.y, r: 8})),
    ];
  });
}

// ---- Two bars of equal length: distortion + rate = -log p(x) + gap -------------------------------------------

function drawBar(node, seen, now) {
  const surprise = -seen.evidence;
  const total = now.rate - now.explained; // distortion + rate
  let span = Math.max(4, 2 * surprise); // nats from end to end; more for a large gap
  while (total > span) span *= 1.5;
  canvas(node, (width) => {
    const x = (nats) => 12 + nats / span * (width - 24);
    const row = (y, parts) => parts.map(([name, from, to]) => svg("rect", {
      class: name, x: x(from), width: Math.max(0, x(to) - x(from)), y, height: 26}));
    const after = (nats, label) => Math.min(Math.max(x(nats) + 4, label), width - 12 - 86);
    return [
      svg("defs", {}, svg("pattern", {id: "six-films-hatch", width: 9, height: 9, patternUnits: "userSpaceOnUse",
                                      patternTransform: "rotate(45)"}, line("hatch", 0, 0, 0, 9))),
      words(12, 14, `distortion ${number(-now.explained, 3)}`, "start"),
      words(after(-now.explained, 150), 14, `rate ${number(now.rate, 3)}`, "start"),
      ...row(20, [["distortion", 0, -now.explained], ["rate", -now.explained, total]]),
      ...row(50, [["surprise", 0, surprise], ["gap", surprise, total]]),
      line("evidence", x(surprise), 16, x(surprise), 80),
      words(12, 94, `−log p(x) ${number(surprise, 3)}`, "start"),
      words(after(surprise, 150), 94, `gap ${number(now.gap, 3)}`, "start"),
    ];
  });
}
