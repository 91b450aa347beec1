// What the widget takes from book/widgets/_shared.
const {html, number, count, speaker, register} = vaerecWidgets;
