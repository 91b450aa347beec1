// `?present` fills the window with one widget: larger type, and nothing of the site around it.

function presented() {
  const query = new URLSearchParams(location.search);
  return query.has("present") ? query.get("present") || null : undefined;
}

// The address of this page with the widget alone, or without.
function address(present, name) {
  const url = new URL(location.href);
  if (present) url.searchParams.set("present", name);
  else url.searchParams.delete("present");
  url.hash = `widget-${name}`;
  return url.href;
}

function presentLink(figure) {
  const name = figure.dataset.widget;
  const on = figure.classList.contains("present");
  const link = html("a", {class: "widget-present", href: address(!on, name)}, on ? "Back to the page" : "Full screen");
  figure.querySelector("figcaption").append(" ", link);
  if (on) addEventListener("keydown", (event) => { if (event.key === "Escape") location.href = link.href; });
}

function present(figure) {
  document.documentElement.classList.add("widget-alone");
  figure.classList.add("present");
  document.body.append(html("main", {class: "widget-stage"}, figure));
  const fit = () => {
    figure.style.zoom = 1;
    const {width, height} = figure.getBoundingClientRect();
    const room = Math.min((innerWidth - 32) / width, (innerHeight - 32) / height);
    figure.style.zoom = Math.max(1, Math.min(room, 2.5));
  };
  addEventListener("resize", fit);
  return fit;
}
