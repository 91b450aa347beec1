// Wiring of "three tables": five switches, and what the book measured beside each published row.
const SWITCHES = [
  ["users", "Users asked", [["strangers", "strangers"], ["known", "from training"]]],
  ["targets", "Films to find", [["random", "random"], ["last", "the last"]]],
  ["likes", "Counts as liked", [["four", "4 stars up"], ["every", "any rating"]]],
  ["seen", "Seen films", [["masked", "masked"], ["kept", "not masked"]]],
  ["lists", "Lists", [["personal", "personal"], ["one", "one for all"]]],
];
const WIDEST = 0.5; // NDCG@100 at the right end of a bar

function start(body, {data}) {
  const world = data().data;
  const settings = {users: "strangers", targets: "random", likes: "four", seen: "masked", lists: "personal"};
  const found = new Set(); // rows that agreed under some settings
  const said = speaker();
  const rows = world.published.map(rowOf);
  const note = html("p", {class: "note"});
  body.append(html("div", {class: "scene"},
    html("div", {class: "switches"}, ...SWITCHES.map((one) => switchOf(one, settings, draw))),
    html("div", {}, html("p", {class: "key"}, html("span", {class: "swatch theirs"}), "published",
                         html("span", {class: "swatch mine"}), "ours, asked as chosen"),
         html("ul", {class: "rows"}, ...rows.map(({node}) => node)), note)), said.node);

  function draw() {
    const protocol = protocolOf(world, settings);
    const values = world.published.map((row) => ours(world, row, settings));
    world.published.forEach((row, i) => {
      if (agrees(row, values[i])) found.add(i);
      rows[i].show(values[i], found.has(i));
    });
    const now = world.published.filter((row, i) => agrees(row, values[i])).length;
    note.textContent = protocol
      ? `${protocol.name}. Within ${NEAR} now: ${now}. So far: ${found.size} of ${rows.length}. Agreement is a clue, no proof.`
      : "This combination was not measured, so there is nothing of ours to show.";
    Object.assign(body.dataset, {protocol: protocol ? protocol.name : "", found: found.size, now,
                                 values: JSON.stringify(values.map((one) => (one ? one.value : null)))});
    said.say(note.textContent + values.map((one, i) => ` ${world.published[i].source} ${world.published[i].model}: `
      + (one ? number(one.value, 3) : "not measured")).join("."));
  }
  draw();
}

// Two radio buttons that look like one switch.
function switchOf([key, label, choices], settings, change) {
  return html("fieldset", {}, html("legend", {}, label), html("div", {class: "pair"}, ...choices.map(([value, text]) => {
    const box = html("input", {type: "radio", name: `three-tables-${key}`, value, id: `three-tables-${key}-${value}`});
    box.checked = settings[key] === value;
    box.addEventListener("change", () => { settings[key] = value; change(); });
    return html("span", {}, box, html("label", {for: box.id}, text));
  })));
}

// A published bar, outlined, and ours inside it.
function rowOf(row) {
  const bar = (name, value) => html("span", {class: name, style: `width: ${100 * value / WIDEST}%`});
  const mine = bar("mine", 0);
  const words = html("span", {class: "words"});
  const track = html("span", {class: "track", "aria-hidden": "true"}, bar("theirs", row.value), mine);
  if (row.test) track.append(html("span", {class: "test", style: `left: ${100 * row.test / WIDEST}%`}));
  const node = html("li", {}, html("span", {class: "name"}, html("strong", {}, row.model), row.source,
    ...(row.test ? [html("br"), `dotted: test ${number(row.test, 3)}`] : [])), track, words);
  const show = (value, once) => {
    const close = agrees(row, value);
    mine.style.width = `${value ? 100 * value.value / WIDEST : 0}%`;
    node.classList.toggle("close", close);
    const text = value ? `ours ${number(value.value, 3)}${value.runs ? `, ${count(value.runs, "seed", "seeds")}` : ""}`
      : "not measured";
    words.replaceChildren(html("span", {}, number(row.value, 3)),
                          html("span", {class: "ours"}, `${close ? "✓ " : once ? "(✓) " : ""}${text}`));
  };
  return {node, show};
}

register("three-tables", {start, ours, agrees, protocolOf});
