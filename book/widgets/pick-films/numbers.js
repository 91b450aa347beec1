// Sixteen numbers cannot be drawn as a place. A bar reaches two widths to each side; a number that the model
// does not use is left out.
const SPAN = 2.7; // the largest value that is shown

function makeNumbers(state, changed) {
  const awake = (state.resize(16), state.awake());
  const asleep = state.models[16].encoderBias.data.length / 2 - awake.length;
  state.resize(2);
  const rows = awake.map((i, row) => {
    const bar = html("span", {class: "bar"});
    const ticks = Array.from({length: SAMPLES}, () => html("span", {class: "tick"}));
    const input = html("input", {type: "range", min: -SPAN, max: SPAN, step: 0.05,
      "aria-label": `Number ${row + 1} of the taste`});
    input.addEventListener("input", () => {
      state.taste = [...(state.taste ?? state.cloud().centre)];
      state.taste[i] = Number(input.value);
      changed("taste");
    });
    return {i, bar, ticks, input, node: html("label", {class: "number"}, html("span", {class: "name"}, String(row + 1)),
      html("span", {class: "track"}, html("span", {class: "prior"}), bar, ...ticks, input))};
  });
  const node = html("div", {class: "numbers"}, ...rows.map((row) => row.node),
    html("p", {class: "note"}, `${count(asleep, "number is", "numbers are")} left out: training gave them no use.`));
  const within = (value) => Math.max(-SPAN, Math.min(SPAN, value));
  const percent = (value) => 50 + (50 * value) / SPAN;

  function draw() {
    const {centre, width} = state.cloud();
    for (const {i, bar, ticks, input} of rows) {
      bar.style.left = `${percent(within(centre[i] - 2 * width[i]))}%`;
      bar.style.right = `${100 - percent(within(centre[i] + 2 * width[i]))}%`;
      ticks.forEach((tick, s) => {
        tick.hidden = !state.samples;
        if (state.samples) tick.style.left = `${percent(within(state.samples[s][i]))}%`;
      });
      const value = (state.taste ?? centre)[i];
      input.value = value;
      input.setAttribute("aria-valuetext", `${number(value, 1)}; the model's guess is ${number(centre[i], 1)}, `
        + `width ${number(width[i])}`);
    }
  }

  return {node, draw};
}
