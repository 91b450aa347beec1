"""What each part of MVAE is worth on MovieLens-1M, every variant with a recipe of its own.

    python benchmarks/variants.py          # a worker; start a second one beside it, on one thread each
    python benchmarks/variants.py pairs    # variants_pairs.csv, from the folds that this machine has run

A worker takes the next run that no other worker has and whose inputs are there, writes its row as it ends,
and skips rows that are there, so it can be killed at any moment and started again. The phases:

- trials (variants_trials.csv): 12 recipes a variant, judged on the validation users alone. The first is one
  recipe for all; the next three, the same for all too, have a small learning rate, a penalty, and more
  dropout; the others are drawn near the best recipe so far. (Optuna's TPE and Gaussian processes were
  tried: with so few trials in five dimensions they went to the corners.) Optuna's random sampler is made
  anew for each trial, from the trial's number, so a cut does not change the draws.
- seeds (variants_seeds.csv): five seeds of the common recipe and of each winner, on the test users.
- twice (variants_seeds.csv, stretch 2): the winners again with twice as many epochs, schedules stretched.
- folds (variants_folds.csv): the winners on eight rotating folds of held-out users, in which every user is
  tested once. NDCG@100 of each user stays in _build/variants; variants_pairs.csv has what a claim needs:
  the paired difference and its standard error in each fold.

The search seed is 0, the final seeds are others: no test score belongs to a run that chose its recipe.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import torch
from jobs import Job, rows_of, work
from optuna.distributions import FloatDistribution, IntDistribution
from sweep import on_test_users, provenance

import vaerec as vr
from vaerec.elbo import Constant, LinearToCap, gaussian_kl, reparameterize

HERE = Path(__file__).parent
TRIALS, SEEDS, FOLDS, PAIRS = (HERE / f"variants_{name}.csv"
                               for name in ("trials", "seeds", "folds", "pairs"))
BUILD = HERE.parent / "_build" / "variants"
METRIC = "validation_ndcg@100"
N_TRIALS, SEARCH_SEED, FINAL_SEEDS, N_FOLDS = 12, 0, range(1, 6), 8

SPACE = {
    "lr": FloatDistribution(5e-4, 1e-2, log=True),
    "epochs": IntDistribution(10, 40),
    "dropout": FloatDistribution(0.2, 0.8),
    "weight_decay": FloatDistribution(1e-7, 1e-2, log=True),
    "batch_size": IntDistribution(64, 200, log=True),
}
COMMON = {"lr": 5e-3, "epochs": 20, "dropout": 0.5, "weight_decay": 0.0, "batch_size": 100}
# The first trials of every variant. Where they lie was suggested by runs made by hand, some of which had
# looked at test users; which trial of a variant wins is decided by the validation users alone.
STARTS = (
    COMMON, COMMON | {"lr": 1e-3, "epochs": 40}, COMMON | {"lr": 2e-3, "epochs": 30, "weight_decay": 4e-4},
    COMMON | {"lr": 3e-3, "epochs": 25, "dropout": 0.65, "weight_decay": 5e-5})
OWN_BETA = {"beta": FloatDistribution(0.01, 1.0, log=True)}  # of a likelihood on another scale
CONFIDENCE = {"confidence": FloatDistribution(1.0, 100.0, log=True)}
EASE_SPACE = {"l2": [100, 150, 200, 300, 400, 500, 700, 1000, 1500, 2000, 3000, 5000],
              "recency": [0.8, 0.85, 0.9, 0.95]}


class SmallNoise(vr.models.MVAE):
    """Noise of standard deviation .01 instead of 1, as in several published implementations."""

    def sample(self, mu, logvar):
        """The KL is still charged for a sigma that the decoder never feels."""
        return reparameterize(mu, logvar, 0.01 * torch.randn_like(mu))


class NoNoise(vr.models.MVAE):
    """The decoder gets the mean; the KL stays as a penalty on it."""

    def sample(self, mu, logvar):
        """No draw."""
        return mu


class ConfidentGaussian(vr.models.MVAE):
    """Squared error in which an item of the history weighs ``confidence`` times an absent one.

    As in weighted matrix factorisation (Hu et al. 2008; Liang et al. 2018, eq. 3).
    """

    def __init__(self, n_items: int, confidence: float, **settings):
        super().__init__(n_items, likelihood="gaussian", **settings)
        self.confidence = confidence

    def loss(self, bags, progress):
        """As `MVAE.loss`, with c/2 (1 - f)² for what is there and f²/2 for what is not."""
        mu, logvar = self.encode(bags)
        means = self.decode(self.sample(mu, logvar))  # f, [B, I]
        chosen = means[bags.user(), bags.items]
        there = 0.5 * self.confidence * (1 - chosen).square() - 0.5 * chosen.square()
        distortion = (there.sum() + 0.5 * means.square().sum()) / bags.n_users
        rate, beta = gaussian_kl(mu, logvar).mean(), self.beta(progress)
        return distortion + beta * rate, {"distortion": distortion.detach(), "rate": rate.detach()}


def plain(n_items: int, dropout: float) -> vr.models.Autoencoder:
    """MVAE's layers without its noise and its rate."""
    return vr.models.Autoencoder(n_items, (600,), 200, dropout, likelihood="multinomial", normalize=True)


def annealed(make: Callable, n_items: int, beta: float, **settings) -> vr.models.MVAE:
    """A model whose searched beta is the cap of the climb."""
    return make(n_items, beta=LinearToCap(beta), **settings)


@dataclass(frozen=True)
class Variant:
    """A model, and what is searched for it beside the recipe.

    Attributes
    ----------
    make : callable
        n_items, dropout and the settings of ``own`` -> model.
    own : dict
        Setting -> distribution.
    first : dict
        The settings of ``own`` in the first trials.
    """

    make: Callable
    own: dict = field(default_factory=dict)
    first: dict = field(default_factory=dict)
    protocol: str = "LIANG_2018"


MVAE = vr.models.MVAE
VARIANTS = {  # the most decisive ones first
    "beta 0.2 annealed": Variant(MVAE),
    "beta 0": Variant(partial(MVAE, beta=Constant(0.0))),
    "plain autoencoder": Variant(plain),
    "Mult-DAE": Variant(partial(vr.models.MultDAE, l2=0.0)),
    "no noise": Variant(NoNoise),
    "noise .01": Variant(SmallNoise),
    "beta 0.2 constant": Variant(partial(MVAE, beta=Constant(0.2))),
    "SACHDEVA_2019": Variant(MVAE, protocol="SACHDEVA_2019"),
    "beta 1 annealed": Variant(partial(MVAE, beta=LinearToCap(1.0))),
    "beta 1 constant": Variant(partial(MVAE, beta=Constant(1.0))),
    "beta 0.1 annealed": Variant(partial(MVAE, beta=LinearToCap(0.1))),
    "bernoulli": Variant(partial(annealed, partial(MVAE, likelihood="bernoulli")), OWN_BETA, {"beta": 0.2}),
    "gaussian": Variant(partial(annealed, partial(MVAE, likelihood="gaussian")), OWN_BETA, {"beta": 0.2}),
    "gaussian, confidence": Variant(
        partial(annealed, ConfidentGaussian), OWN_BETA | CONFIDENCE, {"beta": 0.2, "confidence": 10.0}),
    "averaged KL": Variant(partial(MVAE, latent_dim=200, beta=LinearToCap(0.2 / 200))),
    "beta 0.05 annealed": Variant(partial(MVAE, beta=LinearToCap(0.05))),
    "beta 0.4 annealed": Variant(partial(MVAE, beta=LinearToCap(0.4))),
}
HEADLINES = ("beta 0.2 annealed", "Mult-DAE", "SACHDEVA_2019")
EASES = {"EASE": "LIANG_2018", "recent EASE": "SACHDEVA_2019"}
CLAIMS = ("beta 0.2 annealed", "beta 0", "plain autoencoder", "Mult-DAE", "no noise", "noise .01",
          "beta 0.2 constant", "EASE")  # differences below .006 are expected between these
SETTINGS = (*COMMON, "beta", "confidence", "l2", "recency")


@cache
def data(protocol: str) -> vr.protocols.Split:
    """The published split."""
    return getattr(vr.protocols, protocol)(vr.load("ml-1m"))


@cache
def folds() -> list[vr.protocols.Split]:
    """Rotating ones, of the users and rows of LIANG_2018. The last two hold the published held-out users."""
    log = vr.load("ml-1m").filter(min_rating=4, min_user_items=5)
    return list(vr.protocols.rotating_folds(log, n_folds=N_FOLDS))


def trained(variant: str, split: vr.protocols.Split, settings: dict, seed: int,
            stretch: int = 1) -> tuple[vr.models.TopNRecommender, dict]:
    """A fitted model, and what its row says about the training."""
    own = {name: settings[name] for name in VARIANTS[variant].own}
    model = VARIANTS[variant].make(split.n_items, dropout=settings["dropout"], **own)
    epochs, batch_size = int(settings["epochs"]) * stretch, int(settings["batch_size"])
    cpu = time.process_time()
    history = vr.fit(model, split, max_epochs=epochs, seed=seed, batch_size=batch_size, lr=settings["lr"],
                     weight_decay=settings["weight_decay"], lr_schedule="cosine")
    best = int(history[METRIC].idxmax())
    return model, {
        "steps": epochs * -(-split.train.n_users // batch_size), METRIC: round(history[METRIC][best], 6),
        "best_epoch": best, "best_is_last": best == epochs - 1,
        "rate": round(history["rate"][best], 3) if "rate" in history else np.nan,
        "seconds": round(history["seconds"].sum(), 1), "cpu_seconds": round(time.process_time() - cpu, 1),
        **provenance(split)}


def described(settings: dict) -> dict:
    """All columns for settings, so that the rows of a table agree."""
    return {name: settings.get(name, np.nan) for name in SETTINGS}


def proposal(variant: str, number: int) -> dict:
    """The settings of a trial, from the rows of those before it."""
    given = VARIANTS[variant]
    if number < len(STARTS):
        return STARTS[number] | given.first
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number))
    near = winner(variant)
    return study.ask({name: around(whole, near[name]) for name, whole in (SPACE | given.own).items()}).params


def around(whole: FloatDistribution | IntDistribution, value: float) -> FloatDistribution | IntDistribution:
    """The part of a setting's range near a value: a fifth of the range to each side, as far as it goes."""
    if not whole.log:
        step = (whole.high - whole.low) / 5
        low, high = value - step, value + step
    else:
        value, factor = max(value, whole.low), (whole.high / whole.low) ** 0.2
        low, high = value / factor, value * factor
    kind = int if isinstance(whole, IntDistribution) else float
    return type(whole)(kind(max(low, whole.low)), kind(min(high, whole.high)), log=whole.log)


def one_trial(variant: str, number: int) -> dict:
    """Train with the next recipe; the test users are not looked at."""
    settings = proposal(variant, number)
    start = {"variant": variant, "trial": number, **described(settings)}
    try:
        return start | trained(variant, data(VARIANTS[variant].protocol), settings, SEARCH_SEED)[1]
    except FloatingPointError:  # the worst that a recipe can do
        return start | {"steps": 0, METRIC: 0.0} | dict.fromkeys(
            ("best_epoch", "best_is_last", "rate", "seconds", "cpu_seconds"), np.nan) | provenance(
                data(VARIANTS[variant].protocol))


def ease_trials(variant: str) -> Iterator[dict]:
    """A grid of penalties; the inverse of each serves all weights of recency."""
    split = data(EASES[variant])
    recencies = EASE_SPACE["recency"] if variant == "recent EASE" else [None]
    for number, l2 in enumerate(EASE_SPACE["l2"]):
        model, start = vr.models.EASE(split.n_items, l2=l2), time.process_time()
        vr.fit(model, split)
        seconds = round(time.process_time() - start, 1)
        for at, recency in enumerate(recencies):
            model.recency = recency
            score = vr.evaluate(model, split.validation, ks=(100,))["ndcg@100"]
            yield {"variant": variant, "trial": number * len(recencies) + at,
                   **described({"l2": l2} | ({"recency": recency} if recency else {})),
                   "steps": 0, METRIC: round(score, 6), "best_epoch": 0, "best_is_last": False,
                   "rate": np.nan, "seconds": seconds, "cpu_seconds": seconds, **provenance(split)}


def winner(variant: str) -> dict:
    """The settings of the best validation score."""
    rows = rows_of(TRIALS, variant=variant)
    return rows.loc[rows[METRIC].idxmax()].to_dict()


def fitted_ease(variant: str, split: vr.protocols.Split) -> tuple[vr.models.EASE, dict]:
    """With the penalty that validation chose."""
    chosen = winner(variant)
    recency = chosen["recency"] if variant == "recent EASE" else None
    model, start = vr.models.EASE(split.n_items, l2=chosen["l2"], recency=recency), time.process_time()
    score = vr.fit(model, split)[METRIC].max()
    seconds = round(time.process_time() - start, 1)
    return model, {"steps": 0, METRIC: round(score, 6), "best_epoch": 0, "best_is_last": False,
                   "rate": np.nan, "seconds": seconds, "cpu_seconds": seconds, **provenance(split)}


def one_seed(variant: str, recipe: str, stretch: int, seed: int) -> dict:
    """Train a known recipe and look at the test users."""
    split = data(EASES.get(variant) or VARIANTS[variant].protocol)
    if variant in EASES:
        settings, (model, row) = winner(variant), fitted_ease(variant, split)
    else:
        settings = winner(variant) if recipe == "own" else COMMON | VARIANTS[variant].first
        model, row = trained(variant, split, settings, seed, stretch)
    return {"variant": variant, "recipe": recipe, "stretch": stretch, "seed": seed, **described(settings),
            **on_test_users(vr.evaluate(model, split.test)), **row}


def one_fold(variant: str, fold: int, repeat: int) -> dict:
    """Train the winner on other users, and keep what each test user got."""
    split, seed = folds()[fold], 10 * fold + repeat + 1
    if variant in EASES:
        model, row = fitted_ease(variant, split)
    else:
        model, row = trained(variant, split, winner(variant), seed)
    report = vr.evaluate(model, split.test)
    BUILD.mkdir(parents=True, exist_ok=True)
    np.save(BUILD / f"{variant}-{fold}-{repeat}.npy", report.per_user["ndcg@100"].to_numpy())
    return {"variant": variant, "fold": fold, "repeat": repeat, "seed": seed, **on_test_users(report),
            "users": len(report.per_user), **row}


def searched(variant: str) -> int:
    """Trials that are in the table."""
    return len(rows_of(TRIALS, variant=variant))


def jobs() -> list[Job]:
    """All runs, in the order in which they should be made."""
    def trial(variant, number):
        return Job(TRIALS, {"variant": variant, "trial": number}, lambda: [one_trial(variant, number)],
                   lambda: searched(variant) >= number, variant)

    def seed(variant, recipe, stretch, seed):
        key = {"variant": variant, "recipe": recipe, "stretch": stretch, "seed": seed}
        is_ready = (lambda: searched(variant) >= N_TRIALS) if recipe == "own" else (lambda: True)
        return Job(SEEDS, key, lambda: [one_seed(**key)], is_ready)

    def fold(variant, fold, repeat):
        key = {"variant": variant, "fold": fold, "repeat": repeat}
        return Job(FOLDS, key, lambda: [one_fold(**key)], lambda: searched(variant) >= N_TRIALS)

    grids = [Job(TRIALS, {"variant": variant, "trial": 0}, lambda v=variant: list(ease_trials(v)))
             for variant in EASES]
    return [
        *(trial(variant, number) for variant in list(VARIANTS)[:1] for number in range(N_TRIALS)),
        *grids,
        *(trial(variant, number) for variant in list(VARIANTS)[1:] for number in range(N_TRIALS)),
        *(seed(variant, "own", 1, FINAL_SEEDS[0]) for variant in EASES),
        *(seed(variant, recipe, 1, number) for first in range(0, len(VARIANTS), 4) for number in FINAL_SEEDS
          for recipe in ("own", "common") for variant in list(VARIANTS)[first:first + 4]),
        *(seed(variant, "own", 2, number) for number in FINAL_SEEDS for variant in VARIANTS
          if number in FINAL_SEEDS[:3] or variant in HEADLINES),
        *(fold(variant, number, repeat) for repeat in range(2) for number in reversed(range(N_FOLDS))
          for variant in CLAIMS if variant not in EASES or repeat == 0),  # EASE has no seed
    ]


def pairs() -> None:
    """Each of two claimed variants against each other, in each fold."""
    rows = []
    for one, other in itertools.combinations(CLAIMS, 2):
        for fold, repeat in itertools.product(range(N_FOLDS), range(2)):
            files = [BUILD / f"{name}-{fold}-{0 if name in EASES else repeat}.npy" for name in (one, other)]
            if all(file.exists() for file in files):
                difference = np.subtract(*map(np.load, files))
                rows.append({"variant": one, "other": other, "fold": fold, "repeat": repeat,
                             "users": len(difference), "difference": round(difference.mean(), 7),
                             "standard_error": round(difference.std(ddof=1) / len(difference) ** 0.5, 7)})
    pd.DataFrame(rows).to_csv(PAIRS, index=False)


def main(what: str = "work") -> None:
    """See the top of this file."""
    if what == "pairs":
        pairs()
    else:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        work(jobs(), BUILD / "claims")


if __name__ == "__main__":
    main(*sys.argv[1:])
