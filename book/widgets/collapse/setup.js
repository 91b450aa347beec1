// What the widget takes from book/widgets/_shared.
const {html, svg, fill, number, calm, speaker, eachFrame, register} = vaerecWidgets;
