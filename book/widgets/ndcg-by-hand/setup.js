// What the widget takes from book/widgets/_shared.
const {html, svg, fill, number, count, speaker, register} = vaerecWidgets;
