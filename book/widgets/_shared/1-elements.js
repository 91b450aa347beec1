// Elements of the page, and how numbers are written.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, ...children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) node.removeAttribute(key);
    else node.setAttribute(key, value === true ? "" : value);
  }
  if (children.length) node.replaceChildren(...children);
  return node;
}

const html = (name, attributes = {}, ...children) =>
  fill(document.createElement(name), attributes, ...children);
const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, ...children);

function button(text, onClick, attributes = {}) {
  const node = html("button", {type: "button", ...attributes}, text);
  node.addEventListener("click", onClick);
  return node;
}

// With a true minus sign, and never minus zero.
function number(value, digits = 2) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

const count = (n, one, many) => `${n} ${n === 1 ? one : many}`;

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
