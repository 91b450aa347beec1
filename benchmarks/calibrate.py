"""Where the metric ranges of tests/notebooks/ranges.yaml come from.

    python benchmarks/calibrate.py quick 06-mvae   # rerun the notebook with 10 seeds
    python benchmarks/calibrate.py full            # from the table of mvae_seeds.py, and closed forms

A range is mean ± t(.995, n - 1) sd sqrt(1 + 1/n), the 99 % prediction interval of one more run, and
at least ± .003. What involves no chance is computed once (n = 1) and gets ± .003; a notebook without
a seed is run twice, and its metrics must come out equal.
"""

from __future__ import annotations

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

import vaerec as vr  # noqa: E402

RANGES = ROOT / "tests" / "notebooks" / "ranges.yaml"
SEEDS = range(10)
LEAST = 0.003

# What chapters record about learning, and the protocol it is measured under. Only these get ranges.
PROTOCOLS = {"liang": "LIANG_2018", "sachdeva": "SACHDEVA_2019"}
MODELS = {
    "01-data-and-protocols": ("popularity", "ease"),
    "02-ranking-metrics-and-baselines": ("random", "popularity", "ease", "ease_recent"),
    "06-mvae": ("popularity", "ease", "mvae"),
}
# Greater first. Each must hold in every run, or the calibration stops.
RELATIONS = {
    ("01-data-and-protocols", "quick"): [("ease_liang", "popularity_liang")],
    ("01-data-and-protocols", "full"): [("ease_liang", "ease_sachdeva"),
                                        ("ease_sachdeva", "popularity_sachdeva")],
    ("02-ranking-metrics-and-baselines", "quick"): [("ease_liang", "popularity_liang"),
                                                    ("popularity_liang", "random_liang")],
    ("02-ranking-metrics-and-baselines", "full"): [("ease_liang", "popularity_liang"),
                                                   ("popularity_liang", "random_liang")],
    ("06-mvae", "quick"): [("oracle_liang", "mvae_liang"), ("mvae_liang", "popularity_liang"),
                           ("oracle_sachdeva", "mvae_sachdeva"),
                           ("mvae_sachdeva", "popularity_sachdeva")],
    ("06-mvae", "full"): [("ease_liang", "mvae_liang"), ("mvae_liang", "popularity_liang"),
                          ("ease_sachdeva", "mvae_sachdeva"),
                          ("mvae_sachdeva", "popularity_sachdeva")],
}


def metric_name(stem: str, short: str) -> str:
    """``mvae_liang`` in chapter 06 is recorded as ``c06_mvae_liang_ndcg@100``."""
    return f"c{stem[:2]}_{short}_ndcg@100"


def interval(values: list[float]) -> dict[str, float]:
    """n, mean, sd, low, high of a metric over runs."""
    n, mean = len(values), float(np.mean(values))
    sd = float(np.std(values, ddof=1)) if n > 1 else 0.0
    half = max(LEAST, t.ppf(0.995, n - 1) * sd * np.sqrt(1 + 1 / n)) if n > 1 else LEAST
    row = {"n": n, "mean": mean, "sd": sd, "low": mean - half, "high": mean + half}
    return {name: value if name == "n" else round(float(value), 6) for name, value in row.items()}


def quick_runs(stem: str) -> dict[str, list]:
    """What the quick profile records, with one value a seed."""
    parameters = run.chapters()[stem]["quick"]
    seeded = "seed" in run.parameters_of(run.read(stem))
    rows = []
    for seed in SEEDS if seeded else (None, None):
        own = parameters if seed is None else parameters | {"seed": seed}
        with tempfile.TemporaryDirectory() as folder:
            target = f"{folder}/{stem}.ipynb"
            papermill.execute_notebook(run.NOTEBOOKS / f"{stem}.ipynb", target, parameters=own,
                                       cwd=run.NOTEBOOKS, progress_bar=False)
            rows.append(run.recorded(run.nbformat.read(target, as_version=4)))
        print(stem, own.get("seed"), "done", flush=True)
    return {name: [row[name] for row in rows] for name in rows[0]}


def full_runs() -> dict[str, dict[str, list]]:
    """By chapter: the headline models on MovieLens-1M under the recorded names."""
    table = pd.read_csv(ROOT / "benchmarks" / "mvae_seeds.csv").pivot_table(
        index="seed", columns="variant", values="ndcg@100")
    trained = {f"mvae_{key}": table[name].tolist() for key, name in PROTOCOLS.items()}
    closed = {f"{kind}_{key}": [value] for key, name in PROTOCOLS.items()
              for kind, value in closed_forms(name).items()}
    return {stem: {metric_name(stem, f"{model}_{key}"): (closed | trained)[f"{model}_{key}"]
                   for model in models for key in PROTOCOLS} for stem, models in MODELS.items()}


def closed_forms(protocol: str) -> dict[str, float]:
    """NDCG@100 of the baselines on MovieLens-1M."""
    split = getattr(vr.protocols, protocol)(vr.load("ml-1m"))
    models = {"random": vr.models.Random(split.n_items),
              "popularity": vr.models.Popularity(split.n_items),
              "ease": vr.models.EASE(split.n_items, l2=1000.0),
              "ease_recent": vr.models.EASE(split.n_items, l2=2000.0, recency=0.85)}
    for model in models.values():
        vr.fit(model, split)
    return {name: vr.evaluate(model, split.test, ks=(100,))["ndcg@100"]
            for name, model in models.items()}


def describe(stem: str, profile: str, runs: dict[str, list]) -> dict:
    """Ranges and relations of one notebook and profile."""
    metrics = {}
    for name, values in runs.items():
        key = name.removesuffix("_ndcg@100").split("_")[-1]
        if name.endswith("_ndcg@100") and key in PROTOCOLS:
            metrics[name] = interval(values) | {"protocol": PROTOCOLS[key]}
    relations = [[metric_name(stem, short) for short in pair] for pair in RELATIONS[stem, profile]]
    for more, less in relations:
        if not min(runs[more]) > max(runs[less]):
            raise ValueError(f"{stem} {profile}: {more} > {less} does not hold in every run")
    return {"metrics": metrics, "relations": relations}


def main(profile: str, *stems: str) -> None:
    """Calibrate some notebooks and keep the others' ranges."""
    ranges = yaml.safe_load(RANGES.read_text()) if RANGES.exists() else {}
    quick = {stem: quick_runs(stem) for stem in stems or run.chapters()} if profile == "quick" else {}
    frames = quick or full_runs()
    for stem, runs in frames.items():
        ranges.setdefault(stem, {})[profile] = describe(stem, profile, runs)
    header = "# Made by benchmarks/calibrate.py. Do not edit: a range is measured, not chosen.\n"
    RANGES.write_text(header + yaml.safe_dump(ranges, sort_keys=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
