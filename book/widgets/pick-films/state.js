// What the reader has chosen, and what follows from it. Nothing here knows the page.

const TOP = 10, DRAWER = 6, SAMPLES = 10;

class State {
  constructor(films, models) {
    Object.assign(this, {films, models, size: 2, draws: 0});
    this.popularity = Float64Array.from(films.counts, Math.log);
    this.known = [...films.titles.keys()].sort((a, b) => films.counts[b] - films.counts[a] || a - b);
    this.meet(null);
  }

  // One of the three users, or null: a reader who has watched nothing yet.
  meet(user) {
    this.user = user;
    this.watched = user ? [...user.films] : [];
    this.open(user ? this.films.genre[user.films[0]] : 0);
    this.settle();
  }

  // The taste is the cloud's centre again.
  settle() {
    this.taste = this.samples = null;
  }

  toggle(film) {
    const at = this.watched.indexOf(film);
    if (at < 0) this.watched.push(film);
    else this.watched.splice(at, 1);
    this.settle();
  }

  resize(size) {
    this.size = size;
    this.settle();
  }

  // -- the shelf: a drawer for each genre; its order stays while it is open -----------------------

  open(genre) {
    const watched = new Set(this.watched);
    const all = this.known.filter((film) => this.films.genre[film] === genre);
    this.shelf(all.filter((film) => watched.has(film)).concat(all.filter((film) => !watched.has(film))));
    Object.assign(this, {genre, words: ""});
  }

  search(words) {
    if (!words.trim()) { this.open(this.genre ?? 0); return; }
    const wanted = words.trim().toLowerCase();
    this.shelf(this.known.filter((film) => this.films.titles[film].toLowerCase().includes(wanted)));
    this.words = words;
  }

  shelf(films) {
    Object.assign(this, {drawer: films, page: 0, pages: Math.max(1, Math.ceil(films.length / DRAWER))});
  }

  turn(by) {
    this.page = (this.page + by + this.pages) % this.pages;
  }

  onShelf() {
    return this.drawer.slice(this.page * DRAWER, (this.page + 1) * DRAWER);
  }

  watchedOf(genre) {
    return this.watched.filter((film) => this.films.genre[film] === genre).length;
  }

  // -- what the model makes of it -----------------------------------------------------------------

  get model() {
    return this.models[this.size];
  }

  cloud() {
    return encode(this.model, this.watched);
  }

  meanWidth() {
    const {width} = this.cloud();
    const awake = this.awake();
    return awake.reduce((sum, i) => sum + width[i], 0) / awake.length;
  }

  // The numbers of a taste that the model uses: over the strangers their centres differ.
  awake() {
    const {activity} = this.models.about[this.size];
    return [...activity.keys()].filter((i) => activity[i] > 0.3);
  }

  list(taste = this.taste) {
    const scores = taste ? decode(this.model, taste)
      : this.watched.length ? decode(this.model, this.cloud().centre) : this.popularity;
    return best(scores, this.watched, TOP);
  }

  popular() {
    return best(this.popularity, this.watched, TOP);
  }

  sample() {
    const random = chance(++this.draws), cloud = this.cloud();
    this.taste = null;
    this.samples = Array.from({length: SAMPLES}, () => draw(cloud, random));
  }

  // How many of a list are hidden favourites of the user.
  hits(list) {
    return this.user ? list.filter((film) => this.isFavourite(film)).length : 0;
  }

  isFavourite(film) {
    return Boolean(this.user) && this.user.favourites.includes(film);
  }
}
