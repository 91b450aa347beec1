// How films and genres are written.

const SHORT = {"Science Fiction": "Sci-fi", "Documentary": "Docu"};
const short = (genre) => SHORT[genre] ?? genre;
const withoutYear = (title) => title.replace(/ \(\d+\)$/, "");

// A genre as a tinted label of a few letters.
const pill = (films, film, letters = 3) => html("span", {class: `pill genre-${films.genre[film]}`},
  short(films.genres[films.genre[film]]).slice(0, letters));

// "4 Noir, 3 Comedy": what a list is made of, most first.
function mixture(films, list) {
  return films.genres.map((name, genre) => [list.filter((film) => films.genre[film] === genre).length, name])
    .filter(([n]) => n).sort((a, b) => b[0] - a[0]).map(([n, name]) => `${n} ${name}`).join(", ");
}
