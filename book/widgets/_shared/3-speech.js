// What a screen reader hears: where a movement ends, not every step of it.

function speaker(delay = 500) {
  const node = html("p", {class: "widget-said", role: "status", "aria-live": "polite"});
  let waiting;
  const say = (text) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { if (node.textContent !== text) node.textContent = text; }, delay);
  };
  return {node, say};
}
