// Builds the widget, and draws it anew when something changes.

const {fill, html, button, count, weights, speaker, slide, eachFrame} = vaerecWidgets;

const read = (data) => new State(data.films, weights(data["mvae-16"]), weights(data.svae));

function start(body, tools) {
  const state = read(tools.data());
  const voice = speaker();
  const strip = makeStrip(state, changed);
  const lists = ["bag", "sequence"].map((model) => makeList(state, model));
  const orders = {"True order": "restore", Shuffle: "shuffle", Reverse: "reverse"};
  const buttons = Object.entries(orders).map(([text, does]) => button(text, () => { state[does](); changed(); },
    does === "shuffle" ? {class: "primary"} : {}));
  body.replaceChildren(
    html("div", {class: "bar-top"}, html("p", {class: "heading"}, "Ada's films, oldest first"),
      html("div", {class: "orders", role: "group", "aria-label": "Order of the films"}, ...buttons)),
    strip.node, html("div", {class: "lists"}, ...lists.map((list) => list.node)), voice.node);

  function draw(animate) {
    strip.draw();
    for (const list of lists) list.draw(animate);
    voice.say(`${state.said()} ${lists.map((list) => list.said()).join(" ")}`);
  }

  const soon = eachFrame(() => draw(true));
  function changed() { soon(); }

  draw(false);
  return {state, draw: () => draw(false)};
}

vaerecWidgets.register("order", {start, read, scoresInOrder, scoresOfBag, best});
