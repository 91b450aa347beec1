// Ada's films in the order that the reader gave them, and what the two models make of it.

const TOP = 10;

class State {
  constructor(films, bag, sequence) {
    Object.assign(this, {films, bag, sequence, shuffles: 0, answers: new Map()});
    this.truth = films.users.find((user) => user.name === "Ada").films;
    this.restore();
    this.seen = this.truth.length;
  }

  restore() {
    this.order = [...this.truth];
    this.lifted = null;
  }

  reverse() {
    this.order = this.read().reverse().concat(this.order.slice(this.seen));
    this.lifted = null;
  }

  // The films that are read, in a random order (Fisher and Yates); the others stay behind them.
  shuffle() {
    const random = chance(++this.shuffles), mixed = this.read();
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
    }
    this.order = mixed.concat(this.order.slice(this.seen));
    this.lifted = null;
  }

  move(from, to) {
    this.order.splice(to, 0, ...this.order.splice(from, 1));
  }

  // The films that the models see, oldest first.
  read() {
    return this.order.slice(0, this.seen);
  }

  // A model's ten films. It is asked about the same films many times, and reading them takes milliseconds.
  list(model, films = this.read()) {
    const question = `${model} ${films}`;
    if (!this.answers.has(question)) {
      const scores = model === "bag" ? scoresOfBag(this.bag, films) : scoresInOrder(this.sequence, films);
      this.answers.set(question, best(scores, films, TOP));
    }
    return this.answers.get(question);
  }

  // How many of a model's ten films it also gives for Ada's first films in their true order.
  kept(model) {
    const before = new Set(this.list(model, this.truth.slice(0, this.seen)));
    return this.list(model).filter((film) => before.has(film)).length;
  }

  // Do the models see the films that Ada saw first, in whatever order?
  sameBag() {
    const first = new Set(this.truth.slice(0, this.seen));
    return this.read().every((film) => first.has(film));
  }

  // What has happened to the order, in a sentence.
  said() {
    const n = this.seen;
    if (this.lifted !== null) return "Now click its new place, or carry it with the arrow keys.";
    if (this.read().every((film, place) => film === this.truth[place])) {
      return `Ada's own order, ${count(n, "film", "films")}. Shuffle them, or drag one: which list changes?`;
    }
    if (!this.sameBag()) return `Other films are among the first ${n} now, so both lists may change.`;
    return `The same films in another order: MVAE keeps ${this.kept("bag")} of ten, SVAE ${this.kept("sequence")}.`;
  }
}
