// The map of clouds and the picture of lists, on canvas: 300 ellipses a frame.
const REACH = 3; // the map shows z from -REACH to REACH

// A colour for the direction of a taste, equally light all around.
const tint = (angle, alpha, dark) =>
  `oklch(${dark ? 0.78 : 0.62} ${dark ? 0.13 : 0.16} ${(angle * 180 / Math.PI + 40).toFixed(0)} / ${alpha})`;

const isDark = () => document.documentElement.dataset.theme === "dark";

// A context whose unit is a CSS pixel, cleared.
function fresh(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const {clientWidth: width, clientHeight: height} = canvas;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return {pen, width, height};
}

// One ellipse a user, one width (sigma) around the mean, and a needle towards the true taste.
function drawMap(canvas, {mu, sigma}, world) {
  const {pen, width, height} = fresh(canvas);
  const dark = isDark();
  const unit = Math.min(width, height) / (2 * REACH);
  const x = (z) => width / 2 + unit * z;
  const y = (z) => height / 2 - unit * z;
  world.angle.forEach((angle, user) => {
    const [a, b] = [mu[2 * user], mu[2 * user + 1]];
    pen.beginPath();
    pen.ellipse(x(a), y(b), unit * sigma[2 * user], unit * sigma[2 * user + 1], 0, 0, 2 * Math.PI);
    pen.fillStyle = tint(angle, 0.06, dark);
    pen.fill();
    pen.strokeStyle = tint(angle, 0.3, dark);
    pen.lineWidth = 1;
    pen.stroke();
  });
  pen.lineWidth = 2;
  pen.lineCap = "round";
  world.angle.forEach((angle, user) => {
    const [a, b] = [x(mu[2 * user]), y(mu[2 * user + 1])];
    pen.strokeStyle = tint(angle, 0.95, dark);
    pen.beginPath();
    pen.moveTo(a, b);
    pen.lineTo(a + 8 * Math.cos(angle), b - 8 * Math.sin(angle));
    pen.stroke();
  });
  const style = getComputedStyle(canvas);
  const look = {ink: style.color, ground: style.backgroundColor, width};
  drawPrior(pen, x, y, unit, look);
  drawNames(pen, world.users.map((name, user) => ({name, x: x(mu[2 * user]), y: y(mu[2 * user + 1])})), look);
}

function drawPrior(pen, x, y, unit, {ink, ground}) {
  pen.strokeStyle = ink;
  pen.lineWidth = 1.5;
  pen.setLineDash([2, 5]);
  pen.beginPath();
  pen.arc(x(0), y(0), unit, 0, 2 * Math.PI);
  pen.stroke();
  pen.setLineDash([]);
  write(pen, "prior", x(0) - 18, y(0) + unit + 10, ink, ground);
}

// Text that stays legible on clouds.
function write(pen, text, x, y, ink, ground) {
  pen.font = "600 15px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = ground;
  pen.strokeText(text, x, y);
  pen.fillStyle = ink;
  pen.fillText(text, x, y);
}

// Names stand at the map's right edge, joined to their clouds, so that they stay legible in a heap.
function drawNames(pen, people, {ink, ground, width}) {
  const placed = people.sort((a, b) => a.y - b.y);
  placed.forEach((person, i) => {
    person.at = Math.max(person.y, 14, i ? placed[i - 1].at + 24 : 0);
  });
  pen.font = "600 15px system-ui, sans-serif";
  for (const {name, x, y, at} of placed) {
    const left = width - 8 - pen.measureText(name).width;
    pen.strokeStyle = ink;
    pen.lineWidth = 1.25;
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(left - 5, at);
    pen.stroke();
    pen.beginPath();
    pen.arc(x, y, 4.5, 0, 2 * Math.PI);
    pen.fillStyle = ground;
    pen.fill();
    pen.lineWidth = 2.5;
    pen.stroke();
    write(pen, name, left, at, ink, ground);
  }
}

// A row a person, sorted by true taste; a mark for each film of the top ten. One list for all: columns.
function drawLists(canvas, lists, world) {
  const {pen, width, height} = fresh(canvas);
  const dark = isDark();
  const [wide, tall] = [width / world.films.length, height / world.rows.length];
  world.rows.forEach((user, row) => {
    pen.fillStyle = tint(world.angle[user], 1, dark);
    for (const film of lists[user]) {
      pen.fillRect(world.column[film] * wide + 0.5, row * tall, Math.max(1.5, wide - 1), tall + 0.3);
    }
  });
}

// What the drawings need of the data: directions, rows and columns.
function worldOf(data) {
  const angle = data.taste.map(([comedy, noir]) => Math.atan2(noir, comedy));
  const order = Array.from(angle.keys()).sort((a, b) => angle[a] - angle[b]);
  const column = [];
  data.films.forEach((film, place) => { column[film] = place; });
  return {angle, users: data.users, films: data.films, column, rows: order.filter((_, i) => i % 5 === 0)};
}
