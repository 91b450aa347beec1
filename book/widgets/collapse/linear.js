// The second tab: the linear VAE in closed form (Lucas et al. 2019), as derived in chapter 5.

// What is left at the optimum. s = beta sigma^2 is the price of a direction; a unit lives if it varies by more.
function linearVae({eigenvalues, noise_var: noise}, beta) {
  const price = beta * noise;
  const constant = eigenvalues.length / 2 * Math.log(2 * Math.PI * noise);
  return {
    price,
    alive: eigenvalues.map((value) => value > price),
    rate: eigenvalues.reduce((sum, value) => sum + Math.max(0, 0.5 * Math.log(value / price)), 0),
    distortion: eigenvalues.reduce((sum, value) => sum + Math.min(value, price), 0) / (2 * noise) + constant,
  };
}

const [LAMBDA_LOW, LAMBDA_HIGH] = [0.05, 8]; // the ends of the bars' axis
const BETA_ENDS = [0.25, 40];

// Bars of the eigenvalues under a line at the price, which may be dragged.
function linearTab(node, data, change) {
  const title = node.querySelector("title");
  const hatch = svg("pattern", {id: "collapse-hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse",
                                patternTransform: "rotate(45)"}, svg("line", {class: "hatch", y2: 8}));
  const place = {};

  function draw(beta) {
    const now = linearVae(data, beta);
    chart(node, (width, height) => {
      const [left, right, top, floor] = [44, width - 8, 16, height - 46];
      const y = (value) => floor - Math.log(value / LAMBDA_LOW) / Math.log(LAMBDA_HIGH / LAMBDA_LOW) * (floor - top);
      place.value = (py) => LAMBDA_LOW * (LAMBDA_HIGH / LAMBDA_LOW) ** ((floor - py) / (floor - top));
      const slot = (right - left) / data.eigenvalues.length;
      const wide = Math.min(64, 0.66 * slot);
      const parts = [svg("defs", {}, hatch)];
      for (const value of [0.1, 1]) {
        parts.push(svg("line", {class: "grid", x1: left, x2: right, y1: y(value), y2: y(value)}),
                   svg("text", {x: left - 8, y: y(value) + 5, "text-anchor": "end"}, String(value)));
      }
      data.eigenvalues.forEach((value, i) => {
        const x = left + slot * (i + 0.5);
        const alive = now.alive[i];
        const from = alive ? y(now.price) : floor;
        parts.push(svg("rect", {class: "asleep", x: x - wide / 2, width: wide, y: y(value), height: floor - y(value)}));
        if (alive) {
          parts.push(svg("rect", {class: "paid", x: x - wide / 2, width: wide, y: from, height: floor - from}),
                     svg("rect", {class: "alive", x: x - wide / 2, width: wide, y: y(value), height: from - y(value)}));
        }
        parts.push(svg("text", {x, y: floor + 19, "text-anchor": "middle"}, `λ ${value}`),
                   svg("text", {class: alive ? "strong" : "dark", x, y: floor + 38, "text-anchor": "middle"},
                       alive ? "alive" : "dark"));
      });
      parts.push(svg("line", {class: "axis", x1: left, x2: right, y1: floor, y2: floor}),
                 svg("line", {class: "price", x1: left, x2: right, y1: y(now.price), y2: y(now.price)}),
                 svg("text", {class: "halo", x: right, y: y(now.price) - 8, "text-anchor": "end"},
                     `β σ² = ${now.price.toFixed(2)}`));
      node.replaceChildren(title, ...parts);
    });
    return now;
  }

  const drag = (event) => {
    const box = node.getBoundingClientRect();
    const price = place.value((event.clientY - box.top) * node.clientHeight / box.height);
    change(clamp(price / data.noise_var, ...BETA_ENDS));
  };
  node.addEventListener("pointerdown", (event) => { node.setPointerCapture(event.pointerId); drag(event); });
  node.addEventListener("pointermove", (event) => { if (node.hasPointerCapture(event.pointerId)) drag(event); });
  return draw;
}

// Rate against distortion of all betas, and the place of this one.
function drawLinearCurve(node, data, beta) {
  chart(node, (width, height) => {
    const [left, right, top, floor] = [44, width - 8, 8, height - 28];
    const curve = Array.from({length: 120}, (_, i) => linearVae(data, BETA_ENDS[0] * (BETA_ENDS[1] / BETA_ENDS[0]) ** (i / 119)));
    const most = {rate: curve[0].rate, distortion: curve.at(-1).distortion};
    const least = curve[0].distortion;
    const x = (rate) => left + rate / most.rate * (right - left - 8);
    const y = (nats) => floor - (nats - least) / (most.distortion - least) * (floor - top - 8);
    const now = linearVae(data, beta);
    const line = curve.map((point) => `${x(point.rate).toFixed(1)},${y(point.distortion).toFixed(1)}`).join(" ");
    const [dx, dy] = [x(1) - x(0), y(least) - y(least + beta)];
    const run = 44 / Math.hypot(dx, dy);
    const [cx, cy] = [x(now.rate), y(now.distortion)];
    node.replaceChildren(node.querySelector("title"),
      svg("line", {class: "axis", x1: left, x2: right, y1: floor, y2: floor}),
      svg("line", {class: "axis", x1: left, x2: left, y1: top, y2: floor}),
      svg("text", {x: right, y: floor + 19, "text-anchor": "end"}, "rate →"),
      svg("text", {x: left + 8, y: top + 12}, "↑ distortion"),
      svg("polyline", {class: "trace", points: line}),
      svg("line", {class: "slope", x1: cx - run * dx, y1: cy - run * dy, x2: cx + run * dx, y2: cy + run * dy}),
      svg("circle", {class: "here", cx, cy, r: 7}));
  });
}
