// Movements: a value that changes over some frames, and rows that slide to their new places.

// Calls step(t) with t from 0 to 1; at once with 1 where the reader wants no motion. Returns a function that stops it.
function glide(step, milliseconds = 300) {
  if (calm()) { step(1); return () => {}; }
  let running = true;
  const start = performance.now();
  const frame = (now) => {
    if (!running) return;
    const t = Math.min(1, Math.max(0, (now - start) / milliseconds));
    step(t * t * (3 - 2 * t));
    if (t < 1) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  return () => { running = false; };
}

// Rows never change their node, so that the focus stays; what they show slides in from where it stood.
// `from[i]` is the old place of what row i shows now, or -1 if it is new.
function slide(rows, from) {
  if (calm() || !rows.length || !rows[0].animate) return;
  const tops = rows.map((row) => row.offsetTop);
  rows.forEach((row, i) => {
    for (const running of row.getAnimations()) running.cancel();
    const options = {duration: 280, easing: "ease-out"};
    if (from[i] < 0) row.animate({opacity: [0, 1]}, options);
    else if (from[i] !== i) {
      row.animate({transform: [`translateY(${tops[from[i]] - tops[i]}px)`, "none"]}, options);
    }
  });
}

// At most one call a frame, with the newest arguments.
function eachFrame(draw) {
  let waiting = false, newest;
  return (...given) => {
    newest = given;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(...newest); });
  };
}
