"""Where the metric ranges of tests/notebooks/ranges.yaml come from.

    python benchmarks/calibrate.py quick 06-mvae   # rerun the notebook with 10 seeds
    python benchmarks/calibrate.py full 03-autoencoders 01-data-and-protocols   # with 5 seeds
    python benchmarks/calibrate.py full 06-mvae    # from the table of mvae_seeds.py, see TABLES

Every recorded NDCG@100 gets a range, and so do novelty, Gini and overlap at 100 and what is recorded in nats,
in units or as an error. Seconds get none: they belong to a machine. Relations may name them.
A range is mean ± t(.995, n - 1) sd sqrt(1 + 1/n), the 99 % prediction interval of one more run, and
at least ± .003, or 1e-5 for an error. A notebook without a seed involves no chance: it is run twice,
its metrics must come out equal, and the range is that least one around them (n = 1).
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import papermill
import yaml
from scipy.stats import t

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
import run  # noqa: E402 - a script of the notebooks' folder

RANGES = ROOT / "tests" / "notebooks" / "ranges.yaml"
SEEDS = {"quick": range(10), "full": range(5)}
# The worlds with exact answers, which are the same whatever the chapter trains: its models are left
# out of the full ranges, and trained as little as can be.
EXACT_ONLY = {"A1-how-tight-is-the-bound": {"data": "synthetic", "n_users": 2, "max_epochs": 1}}
# Chapters that train each model with several seeds themselves: here one is enough a run.
ONE_SEED_A_RUN = {"11-scaling": {"n_seeds": 1}}
LEAST = 0.003
LEAST_OF_ERRORS = 1e-5  # what chapters call equal
MEASURED = re.compile(r"_(ndcg@100|novelty@100|gini@100|overlap@100|nats|units|error)$")

# The protocol of a result, by the word in its name. Under the published ones a test makes impostors.
PROTOCOLS = {"liang": "LIANG_2018", "sachdeva": "SACHDEVA_2019"}
# Elsewhere a model that claims learning must keep clear of the popularity list of the same notebook.
OTHER_SETTINGS = ("weak_random", "blog", "weak_temporal", "metarec")
WORLD_OF_CHAPTER_2 = ("c02_world_ease_ndcg@100", "c02_world_oracle_ndcg@100")

# Trained live in the notebook once, and over seeds by a script: name -> table, variant, column.
TABLES = {
    "06-mvae": {"c06_mvae_liang_ndcg@100": ("mvae_seeds.csv", "LIANG_2018", "ndcg@100"),
                "c06_mvae_sachdeva_ndcg@100": ("mvae_seeds.csv", "SACHDEVA_2019", "ndcg@100")},
    "07-svae": {"c07_mvae_sachdeva_ndcg@100": ("mvae_seeds.csv", "SACHDEVA_2019", "ndcg@100"),
                "c07_svae_sachdeva_ndcg@100": ("svae_runs.csv", "SVAE", "ndcg@100"),
                "c07_svae_rate_nats": ("svae_runs.csv", "SVAE", "rate")},
    "08-beyond-accuracy": {
        f"c08_{short}_{named}": ("beyond_accuracy.csv", model, named.removeprefix("liang_"))
        for short, model in {"mvae": "MVAE", "multdae": "Mult-DAE", "svae": "SVAE"}.items()
        for named in ("liang_ndcg@100", "novelty@100", "gini@100", "overlap@100")},
    "09-a-detective-story": {},  # all but MVAE involves no chance
}
# Trained live in the notebook and over seeds by nothing: its full profile has no range for them.
ONE_SEED = {"07-svae": ["c07_collapsed_sachdeva_ndcg@100", "c07_collapsed_rate_nats"],
            "09-a-detective-story": ["c09_mvae_blog_ndcg@100", "c09_mvae_blog_unmasked_ndcg@100"],
            "08-beyond-accuracy": [f"c08_{order}_{metric}" for order in ("constant", "rarest")
                                   for metric in ("ndcg@100", "novelty@100", "gini@100", "overlap@100")]}

# Greater first. Each must hold in every run, or the calibration stops.
ROAD = [("oracle_liang", "mvae_liang"), ("mvae_liang", "popularity_liang")]
BOUNDS = [("log_evidence_nats", "elbo_best_nats"), ("elbo_best_nats", "elbo_prior_nats"),
          ("gap_triple_nats", "gap_third_nats"), ("gap_third_nats", "gap_best_nats"),
          ("elbo_bug_nats", "log_evidence_nats"), ("elbo_shares_nats", "elbo_needle_nats"),
          ("quality_needle_units", "quality_shares_units")]
COLLAPSE = [("cured_liang", "popularity_liang"), ("cured_liang", "collapsed_liang"),
            ("cured_rate_nats", "collapsed_rate_nats")]
ORDER = [("svae_sachdeva", "ease_recent_sachdeva"), ("ease_recent_sachdeva", "ease_sachdeva"),
         ("svae_sachdeva", "mvae_sachdeva"), ("mvae_sachdeva", "popularity_sachdeva"),
         ("svae_sachdeva", "collapsed_sachdeva"), ("svae_rate_nats", "collapsed_rate_nats")]
LISTS = [("mvae_liang", "popularity_liang"), ("multdae_liang", "popularity_liang"),
         ("ease_liang", "head_liang"), ("popularity_gini@100", "head_gini@100"),
         ("head_gini@100", "ease_gini@100"), ("ease_gini@100", "random_gini@100"),
         ("popularity_overlap@100", "ease_overlap@100"),
         ("random_novelty@100", "ease_novelty@100"), ("ease_novelty@100", "popularity_novelty@100")]
TIGHTER = [("sixfilms_gap_k1_nats", "sixfilms_gap_k1024_nats"), ("narrow_gap_k64_nats", "wide_gap_k64_nats"),
           ("ppca200_gap_k1_nats", "ppca10_gap_k1_nats"), ("ppca10_gap_k1_nats", "ppca2_gap_k1_nats")]
COSTS = [("mvae_liang", "bigbatch"), ("products_seconds", "small_layers_seconds")]  # what any machine shows
FORGOTTEN = [(f"ease_{key}", f"ease_{key}_unmasked") for key in ("liang", "sachdeva", "blog", "metarec")]
OWN = [("svae_sachdeva", "mvae_sachdeva"), ("mvae_sachdeva", "popularity_sachdeva"),
       ("ease_sachdeva", "popularity_sachdeva")]
RELATIONS = {
    ("00-tour", "quick"): [*ROAD, ("mvae32_liang", "mvae_liang"), ("oracle_liang", "mvae32_liang")],
    ("00-tour", "full"): [*ROAD, ("mvae32_liang", "mvae_liang"), ("oracle_liang", "mvae32_liang")],
    ("01-data-and-protocols", "quick"): [("ease_liang", "popularity_liang")],
    ("01-data-and-protocols", "full"): [
        ("ease_liang", "ease_sachdeva"), ("ease_sachdeva", "popularity_sachdeva"),
        ("ease_weak_random", "ease_weak_temporal"), ("ease_leak_in_training", "ease_weak_random")],
    ("02-ranking-metrics-and-baselines", "quick"): [("ease_liang", "popularity_liang"),
                                                    ("popularity_liang", "random_liang")],
    ("02-ranking-metrics-and-baselines", "full"): [("ease_liang", "popularity_liang"),
                                                   ("popularity_liang", "random_liang")],
    ("03-autoencoders", "quick"): [("ease_liang", "popularity_liang"), ("multdae_liang", "popularity_liang")],
    ("03-autoencoders", "full"): [("ease_liang", "popularity_liang"), ("multdae_liang", "popularity_liang")],
    ("04-the-elbo", "quick"): BOUNDS,
    ("04-the-elbo", "full"): BOUNDS,
    ("05-annealing-and-collapse", "quick"): COLLAPSE,
    ("05-annealing-and-collapse", "full"): COLLAPSE,
    ("A1-how-tight-is-the-bound", "quick"): TIGHTER,
    ("A1-how-tight-is-the-bound", "full"): TIGHTER,
    ("A2-your-own-data", "quick"): OWN,
    ("A2-your-own-data", "full"): OWN,
    ("07-svae", "quick"): [*ORDER, ("oracle_sachdeva", "svae_sachdeva")],
    ("07-svae", "full"): ORDER,
    ("08-beyond-accuracy", "quick"): [*ROAD, *LISTS, ("oracle_liang", "multdae_liang"),
                                      ("rarest_novelty@100", "random_novelty@100")],
    ("08-beyond-accuracy", "full"): [*LISTS, ("ease_liang", "mvae_liang"), ("multdae_liang", "mvae_liang"),
                                     ("popularity_liang", "svae_liang"), ("ease_gini@100", "mvae_gini@100"),
                                     ("mvae_novelty@100", "ease_novelty@100")],
    ("09-a-detective-story", "quick"): [*FORGOTTEN, ("mvae_blog", "mvae_blog_unmasked")],
    ("09-a-detective-story", "full"): [*FORGOTTEN, ("mvae_blog", "popularity_blog"),
                                       ("ease_liang", "ease_sachdeva")],
    ("10-tuning", "quick"): [*ROAD, ("ease_liang", "popularity_liang")],
    ("10-tuning", "full"): [("mvae_liang", "popularity_liang"), ("ease_liang", "popularity_liang")],
    ("11-scaling", "quick"): [*ROAD, *COSTS],
    ("11-scaling", "full"): [("mvae_liang", "popularity_liang"), *COSTS,
                             ("dense_seconds", "lists_seconds")],
    ("06-mvae", "quick"): [*ROAD, ("oracle_sachdeva", "mvae_sachdeva"),
                           ("mvae_sachdeva", "popularity_sachdeva")],
    ("06-mvae", "full"): [("ease_liang", "mvae_liang"), ("mvae_liang", "popularity_liang"),
                          ("ease_sachdeva", "mvae_sachdeva"),
                          ("mvae_sachdeva", "popularity_sachdeva")],
}


def full_name(stem: str, short: str) -> str:
    """``mvae_liang`` in chapter 06 is recorded as ``c06_mvae_liang_ndcg@100``."""
    ending = "" if MEASURED.search(short) or short.endswith("_seconds") else "_ndcg@100"
    return f"c{stem[:2]}_{short}{ending}"


def interval(name: str, values: list[float]) -> dict[str, float]:
    """n, mean, sd, low, high of a metric over runs; runs that are all equal count as one."""
    least = LEAST_OF_ERRORS if name.endswith("_error") else LEAST
    values = values if len(set(values)) > 1 else values[:1]
    n, mean = len(values), float(np.mean(values))
    sd = float(np.std(values, ddof=1)) if n > 1 else 0.0
    half = max(least, t.ppf(0.995, n - 1) * sd * np.sqrt(1 + 1 / n)) if n > 1 else least
    row = {"n": n, "mean": mean, "sd": sd, "low": mean - half, "high": mean + half}
    return {name: value if name == "n" else round(float(value), 6) for name, value in row.items()}


def measure(stem: str, profile: str) -> dict[str, list]:
    """What a notebook records, with one value a run."""
    parameters = run.chapters()[stem][profile]
    seeded = "seed" in run.parameters_of(run.read(stem))
    rows = []
    exact_only = EXACT_ONLY.get(stem, {}) if profile == "full" else {}
    parameters = parameters | exact_only | ONE_SEED_A_RUN.get(stem, {})
    for seed in SEEDS[profile] if seeded else (None, None):
        own = parameters if seed is None else parameters | {"seed": seed}
        rows.append(one_run(stem, own))
        print(stem, profile, own.get("seed"), "done", flush=True)
    for name in rows[0] if not seeded else ():
        if MEASURED.search(name) and rows[0][name] != rows[1][name]:
            raise ValueError(f"{stem} has no seed, yet {name} was {rows[0][name]}, then {rows[1][name]}")
    return {name: [row[name] for row in rows] for name in rows[0]
            if not (exact_only and "_mvae" in name)}


def one_run(stem: str, parameters: dict) -> dict:
    """Execute a notebook beside the committed one and read what it recorded."""
    with tempfile.TemporaryDirectory() as folder:
        target = f"{folder}/{stem}.ipynb"
        papermill.execute_notebook(run.NOTEBOOKS / f"{stem}.ipynb", target, parameters=parameters,
                                   cwd=run.NOTEBOOKS, progress_bar=False)
        return run.recorded(run.nbformat.read(target, as_version=4))


def from_table(stem: str) -> dict[str, list]:
    """Of the committed notebook what involves no chance, and the trained models from their table."""
    values = {name: [value] for name, value in run.recorded(run.read(stem)).items()}
    for name, (file, variant, column) in TABLES[stem].items():
        table = pd.read_csv(ROOT / "benchmarks" / file)
        asked = table.get("masked", True)  # of two ways to score, the right one
        values[name] = table[(table["variant"] == variant) & asked][column].tolist()
    return values


def claim(name: str) -> dict[str, str]:
    """How a test tells a result from that of a model which has learnt nothing."""
    # Collapsed models are the popularity list, SVAE in chapter 8 answers another question than it learnt, and
    # chapter 11's big batch took hardly any steps.
    if "_collapsed_" in name or name in ("c08_svae_liang_ndcg@100", "c11_bigbatch_ndcg@100"):
        return {}
    setting = name.removesuffix("_ndcg@100")
    for key, protocol in PROTOCOLS.items():
        if setting.endswith(f"_{key}"):
            return {"protocol": protocol}
    for key in OTHER_SETTINGS:
        trained = re.search(rf"_(ease|mvae)_{key}$", setting)
        if trained:
            return {"above": name.replace(trained[1], "popularity")}
    return {"above": "c02_world_popularity_ndcg@100"} if name in WORLD_OF_CHAPTER_2 else {}


def describe(stem: str, profile: str, runs: dict[str, list]) -> dict:
    """Ranges and relations of one notebook and profile."""
    left_out = ONE_SEED.get(stem, []) if profile == "full" else []
    metrics = {name: interval(name, values) | claim(name)
               for name, values in runs.items() if MEASURED.search(name) and name not in left_out}
    relations = [[full_name(stem, short) for short in pair] for pair in RELATIONS[stem, profile]]
    for more, less in relations:
        if not min(runs[more]) > max(runs[less]):
            raise ValueError(f"{stem} {profile}: {more} > {less} does not hold in every run")
    return {"metrics": metrics, "relations": relations}


def main(profile: str, *stems: str) -> None:
    """Calibrate some notebooks, all if none is named, and keep the others' ranges."""
    for stem in stems or run.chapters():
        table = profile == "full" and stem in TABLES
        described = describe(stem, profile, from_table(stem) if table else measure(stem, profile))
        # Read late: another process may have calibrated another notebook.
        ranges = yaml.safe_load(RANGES.read_text()) if RANGES.exists() else {}
        ranges.setdefault(stem, {})[profile] = described
        header = "# Made by benchmarks/calibrate.py. Do not edit: a range is measured, not chosen.\n"
        RANGES.write_text(header + yaml.safe_dump(ranges, sort_keys=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
