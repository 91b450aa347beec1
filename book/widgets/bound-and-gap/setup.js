// What the widget takes from book/widgets/_shared.
const {html, svg, calm, glide, number, speaker, eachFrame, register} = vaerecWidgets;
