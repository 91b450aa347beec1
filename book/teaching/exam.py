"""Exam bank: questions with drawn numbers, so that every seed gives another paper.

    python book/teaching/exam.py write exam --chapters 4 5 6    # draws a secret seed, fills the folder
    python book/teaching/exam.py mark exam/answers.csv --seed SEED --chapters 4 5 6

``write`` makes the student's sheet, a table to fill in, and the lecturer's key. The templates are open and
the seed is not: whoever has it can print the key.
"""

from __future__ import annotations

import argparse
import csv
import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from scipy import integrate, stats

from vaerec.metrics import gini, gini_d

COLUMNS = ["question", "answer"]


@dataclass(frozen=True)
class Question:
    """A question whose answer is a number.

    ``given`` holds what was drawn; ``wrong`` the number that each typical mistake leads to.
    """

    name: str
    chapter: int
    text: str
    answer: float
    wrong: dict[str, float]
    given: dict
    tolerance: float

    def is_near(self, number: float, to: float) -> bool:
        """Is a number within the tolerance of another one?"""
        return abs(number - to) <= self.tolerance

    def mark(self, number: float | None) -> tuple[int, str]:
        """Points, 0 or 1, and what to tell the student."""
        if number is None:
            return 0, "no answer"
        if self.is_near(number, self.answer):
            return 1, "right"
        mistakes = [mistake for mistake, value in self.wrong.items() if self.is_near(number, value)]
        return 0, mistakes[0] if mistakes else "wrong"

    def is_fair(self) -> bool:
        """Does each mistake lead to a number that nobody can take for the answer?"""
        return all(abs(value - self.answer) > 3 * self.tolerance for value in self.wrong.values())


Drawn = tuple[str, float, dict[str, float], dict]
TEMPLATES: dict[str, tuple[int, float, Callable[[Generator], Drawn]]] = {}


def template(name: str, chapter: int, precision: float = 0.005):
    """Register a function that draws a question; ``precision`` is relative to the answer."""
    def register(draw: Callable[[Generator], Drawn]):
        TEMPLATES[name] = chapter, precision, draw
        return draw
    return register


def paper(seed: int, chapters: Sequence[int] = ()) -> list[Question]:
    """The questions of a seed, of all chapters or some.

    Raises
    ------
    ValueError
        A negative seed, or a chapter without a question.
    """
    known = {chapter for chapter, _, _ in TEMPLATES.values()}
    if seed < 0:
        raise ValueError(f"seed {seed}: expected a whole number that is not negative")
    if not set(chapters) <= known:
        raise ValueError(f"no question on chapter {min(set(chapters) - known)}; there are questions on "
                         f"{', '.join(map(str, sorted(known)))}")
    return [ask(name, seed) for name, (chapter, _, _) in TEMPLATES.items()
            if not chapters or chapter in chapters]


def ask(name: str, seed: int) -> Question:
    """The question of a template for a seed: drawn again until no mistake leads to the right answer."""
    chapter, precision, draw = TEMPLATES[name]
    # By name, so that a new template, or fewer chapters, leaves the other questions as they are.
    generator = np.random.default_rng([seed, *name.encode()])
    while True:
        text, answer, wrong, given = draw(generator)
        tolerance = max(precision * abs(answer), 0.001)
        question = Question(name, chapter, text, float(answer), wrong, given, tolerance)
        if question.is_fair():
            return question


def one_of(generator: Generator, *values):
    """One of some values, each as likely."""
    return values[generator.integers(len(values))]


def listed(numbers) -> str:
    """Numbers in a row."""
    return ", ".join(f"{number:g}" for number in numbers)


@template("two-coins", chapter=0)
def two_coins(generator: Generator) -> Drawn:
    q, p = (int(percent) / 100 for percent in generator.choice(np.arange(10, 91, 5), 2, replace=False))

    def side(a, b):
        return a * math.log(a / b)

    answer = side(q, p) + side(1 - q, 1 - p)
    return (
        f"Coin q shows heads with probability {q:g}, coin p with probability {p:g}. What is KL(q ‖ p), in "
        "nats?",
        answer,
        {"That is KL(p ‖ q): the expectation is taken under q.": side(p, q) + side(1 - p, 1 - q),
         "Heads alone: tails has a term too.": side(q, p),
         "In bits: nats need the natural logarithm.": answer / math.log(2)},
        {"q": q, "p": p},
    )


@template("hidden-films", chapter=1)
def hidden_films(generator: Generator) -> Drawn:
    n = [int(5 * generator.integers(2, 15) + generator.integers(1, 5)) for _ in range(3)]
    return (
        f"Three test users have {n[0]}, {n[1]} and {n[2]} films. How many targets do they have together "
        "under SACHDEVA_2019, where the last fifth is hidden?",
        sum(math.ceil(x / 5) for x in n),
        {"You rounded the targets down, as LIANG_2018 does. SACHDEVA_2019 rounds the fold-in down.":
            sum(x // 5 for x in n),
         "You took a fifth of all films together. Each user is cut alone.": sum(n) / 5,
         "That is the fold-in: the films that are shown.": sum(x - math.ceil(x / 5) for x in n)},
        {"lengths": n},
    )


@template("ndcg", chapter=2)
def ndcg(generator: Generator) -> Drawn:
    k = int(generator.integers(6, 13))
    hits = sorted((1 + generator.choice(k, generator.integers(2, 4), replace=False)).tolist())
    n = len(hits) + int(generator.integers(1, 3))

    def dcg(ranks):
        return sum(1 / math.log2(rank + 1) for rank in ranks)

    return (
        f"A user has {n} targets. The list of {k} has hits at the ranks {listed(hits)} and nowhere else. "
        f"What is NDCG@{k}?",
        dcg(hits) / dcg(range(1, n + 1)),
        {f"Your ideal list has {k} hits. There are only {n} targets.": dcg(hits) / dcg(range(1, k + 1)),
         "Hits by targets is recall.": len(hits) / n,
         "That is the DCG: divide by that of the ideal list.": dcg(hits),
         "Your ideal list stops at the number of hits. It has a hit for each target.":
            dcg(hits) / dcg(range(1, len(hits) + 1))},
        {"k": k, "hits": hits, "n": n},
    )


@template("price-of-a-film", chapter=3)
def price_of_a_film(generator: Generator) -> Drawn:
    p, viewers = one_of(generator, 0.1, 0.3, 0.4, 0.6, 0.7), int(generator.integers(12, 90)) * 10
    return (
        f"Input dropout of a linear autoencoder hides each film with probability {p:g} and multiplies the "
        f"others by 1/(1 - p). A film has {viewers} viewers. By which factor does the mean squared error, "
        "added up over users, punish the squared weights of this film?",
        viewers * p / (1 - p),
        {"That is the price of one viewer.": p / (1 - p),
         "You forgot that the films that stay are multiplied by 1/(1 - p).": viewers * p * (1 - p),
         "You forgot to divide by 1 - p.": viewers * p},
        {"p": p, "viewers": viewers},
    )


@template("two-gaussians", chapter=4)
def two_gaussians(generator: Generator) -> Drawn:
    mu, sigma = one_of(generator, -2, -1.5, 0.5, 1.5, 2), one_of(generator, 0.2, 0.4, 0.6, 0.8, 1.5, 2.5)
    sigma_p = one_of(generator, 0.5, 1.2, 2, 3)

    def kl(mu, q, p):  # from variances
        return 0.5 * ((mu**2 + q) / p - 1 - math.log(q / p))

    answer = kl(mu, sigma**2, sigma_p**2)
    return (
        f"q is normal with mean {mu:g} and standard deviation {sigma:g}; p is normal with mean 0 and "
        f"standard deviation {sigma_p:g}. What is KL(q ‖ p), in nats?",
        answer,
        {"You took standard deviations for variances.": kl(mu, sigma, sigma_p),
         "The factor 1/2 is missing.": 2 * answer,
         "That is KL(p ‖ q).": kl(mu, sigma_p**2, sigma**2),
         "The last term is the logarithm of the ratio of variances.":
            0.5 * ((mu**2 + sigma**2) / sigma_p**2 - 1 - math.log(sigma / sigma_p))},
        {"mu": mu, "sigma": sigma, "sigma_p": sigma_p},
    )


@template("rate-of-a-linear-vae", chapter=5)
def rate_of_a_linear_vae(generator: Generator) -> Drawn:
    sigma, beta = one_of(generator, 0.4, 0.6, 0.7), one_of(generator, 0.5, 2, 4)
    values = sorted((generator.choice(np.arange(2, 60), 5, replace=False) / 10).tolist(), reverse=True)

    def rate(s):
        return 0.5 * sum(math.log(x / s) for x in values if x > s)

    s = beta * sigma**2
    return (
        f"A linear VAE with five units has decoder noise of standard deviation {sigma:g} and is trained to "
        f"its optimum at beta = {beta:g}. The eigenvalues of the data are {listed(values)}. What is its "
        "rate, in nats?",
        rate(s),
        {"You compared with beta times sigma, and not with beta times the variance.": rate(beta * sigma),
         "You forgot beta.": rate(sigma**2),
         "You let dead units give nats back: a unit below the threshold has rate zero.":
            0.5 * sum(math.log(x / s) for x in values),
         "The factor 1/2 is missing.": 2 * rate(s)},
        {"sigma": sigma, "beta": beta, "eigenvalues": values},
    )


@template("multinomial-loss", chapter=6)
def multinomial_loss(generator: Generator) -> Drawn:
    logits = (generator.choice(np.arange(-20, 21), 5, replace=False) / 10).tolist()
    watched = sorted(generator.choice(5, 3, replace=False).tolist())

    def loss(scores):
        log_pi = np.asarray(scores) - np.log(np.exp(scores).sum())
        return float(-log_pi[watched].sum())

    probabilities = np.exp(logits) / np.exp(logits).sum()
    signs = np.where(np.isin(np.arange(5), watched), 1, -1)
    return (
        f"Five films have the logits {listed(logits)}. A user has watched films number "
        f"{listed(x + 1 for x in watched)}. What is the negative multinomial log-likelihood of this history, "
        "without its constant, in nats?",
        loss(logits),
        {"You averaged over the user's films: that is the loss of a normalised target.": loss(logits) / 3,
         "You averaged over the catalogue.": loss(logits) / 5,
         "A double softmax: you took probabilities for logits.": loss(probabilities),
         "That is the logistic likelihood: it judges each film by itself.":
            float(np.log1p(np.exp(-signs * np.asarray(logits))).sum())},
        {"logits": logits, "watched": watched},
    )


@template("next-k-pairs", chapter=7)
def next_k_pairs(generator: Generator) -> Drawn:
    k, t = int(generator.integers(2, 6)), int(generator.integers(8, 31))
    return (
        f"SVAE reads a history of {t} films and each step predicts the next {k}. How many (step, target) "
        "pairs are there?",
        sum(min(k, t - step) for step in range(1, t)),
        {"The last steps have fewer targets left.": (t - 1) * k,
         "Nothing follows the last film.": t * k,
         "Off by one: the first film is an input too.": sum(min(k, t - step) for step in range(2, t))},
        {"k": k, "t": t},
    )


@template("gini-of-a-list", chapter=8)
def gini_of_a_list(generator: Generator) -> Drawn:
    shown = generator.integers(1, 10, generator.integers(3, 6))
    counts = generator.permutation([*shown, *[0] * int(generator.integers(1, 4))]).tolist()
    return (
        f"The films of a small catalogue appear on {listed(counts)} lists. What is the Gini coefficient over "
        "the whole catalogue?",
        gini(counts),
        {"You left out the films that nobody is shown.": gini(shown),
         "That is Gini-D: recommended films only, and high means even.": gini_d(np.array(counts)),
         "You did not sort the counts.": unsorted_gini(counts)},
        {"counts": counts},
    )


def unsorted_gini(counts: list[int]) -> float:
    """Gini's formula with the counts in the order in which they stand."""
    n = len(counts)
    return float((2 * np.arange(1, n + 1) - n - 1) @ counts / (n * sum(counts)))


@template("one-list-for-all", chapter=9)
def one_list_for_all(generator: Generator) -> Drawn:
    k, n_items = one_of(generator, 10, 20, 50), int(generator.integers(600, 6000))
    coverage = float(f"{k / n_items:.3g}")
    return (
        f"A table reports coverage@{k} = {coverage:g}. You suspect one list of {k} films for everybody, with "
        "seen films not masked. How many films has the catalogue then?",
        k / coverage,
        {"You left out the length of the list.": 1 / coverage,
         "Coverage is the share of the catalogue that is shown: divide by it.": k * coverage,
         "That is how many films nobody is shown.": k / coverage - k},
        {"k": k, "n_items": n_items, "coverage": coverage},
    )


@template("best-of-n", chapter=10, precision=0.02)
def best_of_n(generator: Generator) -> Drawn:
    n, sd = int(generator.integers(5, 200)), int(generator.integers(2, 15)) / 100
    largest, _ = integrate.quad(lambda x: x * n * stats.norm.pdf(x) * stats.norm.cdf(x) ** (n - 1), -10, 10)
    return (
        f"{n} models are exactly equally good. Each is measured with independent normal noise of standard "
        f"deviation {sd:g}. By how much does the best measurement exceed the truth, on average? (A "
        "simulation will do.)",
        sd * largest,
        {"Each measurement is unbiased. Their largest is not.": 0.0,
         "That is how far a typical measurement is off.": sd,
         "sqrt(2 ln n) is an upper bound, too large for so few models.": sd * math.sqrt(2 * math.log(n))},
        {"n": n, "sd": sd},
    )


@template("a-uniform-draw", chapter=10)
def a_uniform_draw(generator: Generator) -> Drawn:
    low, high = 10.0 ** -int(generator.integers(4, 7)), 10.0 ** -int(generator.integers(0, 2))
    good = high / one_of(generator, 4, 5, 20, 50)
    return (
        f"You draw learning rates uniformly between {low:g} and {high:g}. Good ones lie below {good:g}. "
        "Which share of the trials, in per cent, gets a good one?",
        100 * (good - low) / (high - low),
        {"That is the share on a logarithmic scale.": 100 * math.log(good / low) / math.log(high / low),
         "That is the share of bad ones.": 100 * (high - good) / (high - low)},
        {"low": low, "high": high, "good": good},
    )


def sheet(questions: list[Question]) -> str:
    """What students get, as Markdown."""
    parts = ["# Exam", "Each answer is one number, with three digits. Write the numbers into `answers.csv`."]
    parts += [f"**{place}. {question.name}** (chapter {question.chapter}). {question.text}"
              for place, question in enumerate(questions, 1)]
    return "\n\n".join(parts) + "\n"


def key(questions: list[Question], seed: int) -> str:
    """What the lecturer gets: answers, tolerances and recognised mistakes."""
    lines = [f"# Key of seed {seed}", ""]
    for place, question in enumerate(questions, 1):
        lines.append(f"{place}. **{question.name}**: {question.answer:.6g} ± {question.tolerance:.2g}")
        lines += [f"   - {value:.6g}: {mistake}" for mistake, value in question.wrong.items()]
    return "\n".join(lines) + "\n"


def write(folder: Path, questions: list[Question], seed: int) -> None:
    """Sheet and table for students, and the key."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sheet.md").write_text(sheet(questions), encoding="utf-8")
    (folder / "key.md").write_text(key(questions, seed), encoding="utf-8")
    with (folder / "answers.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *([question.name, ""] for question in questions)])


def read_answers(path: Path, questions: list[Question]) -> dict[str, float | None]:
    """A student's numbers by question; None where there is none.

    Raises
    ------
    ValueError
        Other columns, a question of another paper, a question twice, or an answer that is not a number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8") from error
    if not rows or rows[0] != COLUMNS:
        raise ValueError(f"{path} must begin with the line {','.join(COLUMNS)}")
    answers: dict[str, float | None] = dict.fromkeys(question.name for question in questions)
    met = set()
    for line, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != len(COLUMNS):
            raise ValueError(f"{path}, line {line}: {len(row)} fields; expected {' and '.join(COLUMNS)}. "
                             "Write 0.5, not 0,5")
        name, text = (field.strip() for field in row)
        if name not in answers:
            raise ValueError(f"{path}, line {line}: {name!r} is not in this paper; it has "
                             f"{', '.join(answers)}")
        if name in met:
            raise ValueError(f"{path}, line {line}: {name!r} is answered twice")
        met.add(name)
        answers[name] = as_number(text, f"{path}, line {line}")
    return answers


def as_number(text: str, where: str) -> float | None:
    """The number of a text, None if it is empty."""
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: {text!r} is not a number such as 0.818")
    return number


def main(arguments: list[str] | None = None) -> int:
    """Write a paper or mark answers."""
    parser = argparse.ArgumentParser(description="Exam bank.")
    commands = parser.add_subparsers(dest="command", required=True)
    writer = commands.add_parser("write", help="write sheet.md, answers.csv and key.md")
    writer.add_argument("folder", type=Path)
    writer.add_argument("--seed", type=int, help="to write an earlier paper again")
    marker = commands.add_parser("mark", help="mark a filled answers.csv")
    marker.add_argument("answers", type=Path)
    marker.add_argument("--seed", type=int, required=True)
    for command in (writer, marker):
        command.add_argument("--chapters", type=int, nargs="+", default=(), help="all, if left out")
    options = parser.parse_args(arguments)
    # Too large to be guessed by printing one paper after another.
    seed = secrets.randbits(60) if options.seed is None else options.seed
    try:
        questions = paper(seed, options.chapters)
        if options.command == "write":
            write(options.folder, questions, seed)
            print(f"wrote {options.folder}; the secret seed is {seed}: keep it, and keep it and key.md to "
                  "yourself")
            return 0
        answers = read_answers(options.answers, questions)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    marks = {question.name: question.mark(answers[question.name]) for question in questions}
    for name, (points, message) in marks.items():
        print(f"{points}  {name}: {message}")
    print(f"{sum(points for points, _ in marks.values())} of {len(marks)} points")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
