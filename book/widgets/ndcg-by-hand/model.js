// One user, a ranking of ten films, and its metrics as vaerec.evaluate has them.

const discount = (rank) => 1 / Math.log2(rank + 1); // of a hit at ranks 1, 2, ...

// Films stand best first. `hit`: a hidden film to find. `seen`: the user knows it, and masking takes it out.
function judge(films, k, masked) {
  const list = masked ? films.filter((film) => !film.seen) : films;
  const n = films.filter((film) => film.hit).length;
  const top = list.slice(0, k);
  const hits = top.filter((film) => film.hit).length;
  const gain = top.reduce((sum, film, place) => sum + (film.hit ? discount(place + 1) : 0), 0);
  let ideal = 0;
  for (let rank = 1; rank <= Math.min(k, n); rank++) ideal += discount(rank);
  return {list, n, hits, gain, ideal, ndcg: gain / ideal, recall: hits / Math.min(k, n), recallAll: hits / n};
}

// The ranking with one film moved to another place.
function moved(films, from, to) {
  const others = films.filter((_, place) => place !== from);
  others.splice(to, 0, films[from]);
  return others;
}

// Read "H.s": a hit, another film, a seen one.
const ranking = (text) => Array.from(text, (sign, i) => ({
  name: String.fromCharCode(65 + i), hit: sign === "H", seen: sign === "s"}));

const RANKINGS = {
  "List A": {text: "H....HHH..", k: 5},
  "List B": {text: ".H..H.HH..", k: 5},
  "Seen on top": {text: "ssHsH.H..H", k: 5},
  "Perfect": {text: "HHHH......", k: 5},
};
