// Wiring of "NDCG by hand": films that are dragged along the ranks, by pointer, touch or arrow keys.
const PAGE = `
<svg id="ndcg-stairs" role="img" aria-labelledby="ndcg-stairs-title"></svg>
<ol id="ndcg-films" aria-label="The ranking, best first"></ol>
<p class="hint"><strong>Drag</strong> a film, or move it with ← and →. <strong>Click</strong> or press Enter to make it a
  hidden film <span class="key hit">●</span> or not.
  <span class="key seen">S</span> was seen before.</p>
<div class="below">
  <div class="controls">
    <div class="k"><label for="ndcg-k">Length of the list, k</label> <output id="ndcg-k-value" for="ndcg-k"></output>
      <input id="ndcg-k" type="range" min="1" max="10" step="1"></div>
    <p><button type="button" id="ndcg-mask" role="switch" aria-checked="true"><span class="knob" aria-hidden="true"></span>
      Mask seen films</button></p>
    <div class="buttons" role="group" aria-label="Rankings to start from"></div>
  </div>
  <div class="meters"><p id="ndcg-ndcg"></p><p id="ndcg-recall"></p><p id="ndcg-all"></p></div>
</div>`;

function start(body) {
  body.innerHTML = PAGE;
  const said = speaker();
  body.append(said.node);
  const part = (name) => body.querySelector(`#ndcg-${name}`);
  const state = {films: ranking(RANKINGS["List B"].text), k: 5, masked: true};
  const tiles = new Map(); // a film keeps its button, so that the focus stays

  const placeOf = (film) => state.films.indexOf(film);
  const shownPlace = (film) => judge(state.films, state.k, state.masked).list.indexOf(film);

  function move(film, toShown) {
    const {list} = judge(state.films, state.k, state.masked);
    const target = list[Math.min(list.length - 1, Math.max(0, toShown))];
    if (target === film) return;
    state.films = moved(state.films, placeOf(film), placeOf(target));
    draw();
  }

  function toggle(film) {
    if (film.seen) return say(`Film ${film.name} was seen: it cannot be hidden.`);
    film.hit = !film.hit;
    draw();
  }

  function setFilms(name) {
    state.films = ranking(RANKINGS[name].text);
    state.k = RANKINGS[name].k;
    state.masked = true;
    tiles.clear();
    for (const film of state.films) tiles.set(film, tile(film));
    part("films").replaceChildren(...state.films.map((film) => tiles.get(film).parentNode));
    draw();
  }

  // A button in a list; it follows the pointer along the ranks.
  function tile(film) {
    const button = html("button", {type: "button", class: "film"});
    html("li", {}, button);
    let down, dragged;
    button.addEventListener("pointerdown", (event) => {
      button.setPointerCapture(event.pointerId);
      button.focus(); // some browsers do not, and the node in focus is the one that is never moved
      down = event.clientX;
      dragged = false;
    });
    button.addEventListener("pointermove", (event) => {
      if (down === undefined || (!dragged && Math.abs(event.clientX - down) < 8)) return;
      dragged = true;
      const box = part("films").getBoundingClientRect();
      move(film, Math.floor((event.clientX - box.left) / (box.width / state.films.length)));
    });
    for (const end of ["pointerup", "pointercancel"]) button.addEventListener(end, () => { down = undefined; });
    button.addEventListener("click", () => { if (!dragged) toggle(film); dragged = false; });
    button.addEventListener("keydown", ({key}) => {
      const step = {ArrowLeft: -1, ArrowRight: 1}[key];
      if (!step) return;
      move(film, shownPlace(film) + step);
      button.focus();
    });
    return button;
  }

  const say = said.say;

  function draw() {
    const now = judge(state.films, state.k, state.masked);
    const out = state.films.filter((film) => !now.list.includes(film));
    arrange([...now.list, ...out], now.list.length);
    drawStairs(part("stairs"), now, state.k, state.films.length);
    const least = Math.min(state.k, now.n);
    drawMeter(part("ndcg"), `NDCG@${state.k}`, `${now.gain.toFixed(3)} / ${now.ideal.toFixed(3)}`, now.ndcg);
    drawMeter(part("recall"), `recall@${state.k}`, `${now.hits} / min(${state.k}, ${now.n})`, now.recall);
    drawMeter(part("all"), `recall_all@${state.k}`, `${now.hits} / ${now.n}`, now.recallAll);
    part("k").value = state.k;
    part("k-value").textContent = state.k;
    part("mask").setAttribute("aria-checked", String(state.masked));
    Object.assign(body.dataset, {ndcg: now.ndcg, recall: now.recall, recallAll: now.recallAll, k: state.k, n: now.n,
      films: state.films.map((film) => film.name + (film.hit ? "H" : film.seen ? "s" : ".")).join(" "),
      masked: state.masked});
    say(now.n ? `NDCG at ${state.k}: ${number(now.ndcg, 3)}. ${now.hits} of ${count(now.n, "hidden film", "hidden films")} `
      + `in the list. Recall ${number(now.recall, 3)}, over all ${number(now.recallAll, 3)}.`
      : "No film is hidden, so there is nothing to find.");
  }

  // The tiles in the order shown; those that the mask takes out stand at the end.
  function arrange(order, shown) {
    order.forEach((film, place) => {
      const button = tiles.get(film);
      const kind = film.hit ? "hidden film" : film.seen ? "seen film" : "other film";
      const where = place < shown ? `rank ${place + 1}` : "masked, not in the list";
      button.className = `film ${film.hit ? "hit" : film.seen ? "seen" : "other"}${place < shown ? "" : " masked"}`;
      button.setAttribute("aria-label", `Film ${film.name}, ${kind}, ${where}`);
      button.replaceChildren(html("span", {class: "rank"}, place < shown ? String(place + 1) : "–"),
                             html("span", {class: "sign"}, film.hit ? "●" : film.seen ? "S" : "·"));
    });
    sortNodes(part("films"), order.map((film) => tiles.get(film).parentNode));
  }

  part("k").addEventListener("input", () => { state.k = Number(part("k").value); draw(); });
  part("mask").addEventListener("click", () => { state.masked = !state.masked; draw(); });
  body.querySelector(".buttons").append(...Object.keys(RANKINGS).map((name) => {
    const button = html("button", {type: "button"}, name);
    button.addEventListener("click", () => setFilms(name));
    return button;
  }));
  setFilms("List B");
  new ResizeObserver(draw).observe(part("stairs"));
}

// Order in the tree, for Tab and screen readers, without ever moving the node that has the focus.
function sortNodes(list, nodes) {
  const held = nodes.find((node) => node.contains(document.activeElement));
  const at = nodes.indexOf(held);
  nodes.forEach((node, i) => {
    if (node === held) return;
    if (held && i < at) list.insertBefore(node, held);
    else list.append(node);
  });
}

register("ndcg-by-hand", {start, judge, moved, ranking});
