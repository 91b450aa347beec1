// The staircase of discounts: a column a rank, as high as a hit there is worth; blue where there is one.
const TOP = 26; // pixels above a column for its number

function drawStairs(node, {list, n}, k, slots) {
  const width = node.clientWidth || 640;
  const height = node.clientHeight;
  const wide = width / slots;
  const y = (value) => height - value * (height - TOP);
  const parts = [svg("title", {id: "ndcg-stairs-title"},
    "A falling staircase: a column a rank, as high as a hit there is worth"), hatching()];
  for (let rank = 1; rank <= list.length; rank++) {
    const worth = discount(rank);
    const film = list[rank - 1];
    const x = (rank - 1) * wide;
    const inside = rank <= k;
    const box = {x: x + 2, width: wide - 4, y: y(worth), height: height - y(worth)};
    parts.push(svg("rect", {class: inside ? "step" : "step outside", ...box}));
    if (rank <= Math.min(k, n)) parts.push(svg("rect", {class: "ideal", ...box}));
    if (inside && film.hit) parts.push(svg("rect", {class: "hit", ...box, x: x + 7, width: wide - 14}));
    parts.push(svg("text", {class: inside && film.hit ? "worth paid" : "worth", x: x + wide / 2, y: y(worth) - 7,
                            "text-anchor": "middle"}, wide < 44 ? worth.toFixed(2).replace(/^0/, "") : worth.toFixed(3)));
  }
  if (k < list.length) {
    parts.push(svg("line", {class: "cut", x1: k * wide, x2: k * wide, y1: 4, y2: height}),
               svg("text", {x: k * wide + 8, y: 16}, width - k * wide > 200 ? `k = ${k}: the list ends here` : `k = ${k}`));
  }
  node.setAttribute("viewBox", `0 0 ${width} ${height}`);
  node.replaceChildren(...parts);
}

const hatching = () => svg("defs", {}, svg("pattern", {
  id: "ndcg-hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"},
  svg("line", {class: "hatch", y2: 8})));

// A bar from 0 to 1 with its sum beside it.
function drawMeter(node, label, sum, value) {
  node.replaceChildren(html("span", {class: "label"}, label),
    html("span", {class: "track", "aria-hidden": "true"}, html("span", {style: `width: ${100 * value}%`})),
    html("strong", {}, Number.isNaN(value) ? "–" : number(value, 3)), html("span", {class: "sum"}, sum));
}
