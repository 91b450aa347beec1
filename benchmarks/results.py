"""Write the results of the read-me from what the committed notebooks recorded.

    python benchmarks/readme_results.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "notebooks"))
import run  # noqa: E402 - a script of the notebooks' folder

ROWS = {"popularity": ("02-ranking-metrics-and-baselines", "c02_popularity_{}_ndcg@100"),
        "EASE": ("02-ranking-metrics-and-baselines", "c02_ease_{}_ndcg@100"),
        "EASE, recent films weigh more": ("02-ranking-metrics-and-baselines",
                                          "c02_ease_recent_{}_ndcg@100"),
        "Mult-DAE": ("03-autoencoders", "c03_multdae_{}_ndcg@100"),
        "MVAE": ("06-mvae", "c06_mvae_{}_ndcg@100"),
        "SVAE": ("07-svae", "c07_svae_{}_ndcg@100")}
PROTOCOLS = ("liang", "sachdeva")
SEEDS = {"MVAE": ("mvae_seeds.csv", {"liang": "LIANG_2018", "sachdeva": "SACHDEVA_2019"},
                  "python benchmarks/mvae_seeds.py"),
         "SVAE": ("svae_runs.csv", {"sachdeva": "SVAE"}, "python benchmarks/svae_runs.py SVAE")}


def block() -> str:
    """The Markdown between the two marks of the read-me."""
    data = run.recorded(run.read("06-mvae"))
    lines = [f"MovieLens-1M ({data['data']}; {data['device']}), test NDCG@100, 750 held-out users:", "",
             "| model | random targets | temporal targets | computed by |", "|---|---|---|---|"]
    for model, (stem, name) in ROWS.items():
        values = run.recorded(run.read(stem))
        found = (values.get(name.format(key)) for key in PROTOCOLS)
        numbers = " | ".join("-" if value is None else f"{value:.3f}" for value in found)
        lines.append(f"| {model} | {numbers} | `make notebooks PROFILE=full ONLY={stem}` |")
    for model, (file, variants, command) in SEEDS.items():
        runs = pd.read_csv(ROOT / "benchmarks" / file).groupby("variant")["ndcg@100"]
        spread = " | ".join(f"{runs.mean()[variants[key]]:.3f} ± {runs.std()[variants[key]]:.3f}"
                            if key in variants else "-" for key in PROTOCOLS)
        n = runs.size()[variants["sachdeva"]]
        lines.append(f"| {model}, mean ± standard deviation of {n} seeds | {spread} | `{command}` |")
    return "\n".join(lines)


def updated(text: str) -> str:
    """The read-me with its results block renewed."""
    return re.sub(r"(<!-- results:begin -->\n).*?(<!-- results:end -->)",
                  lambda mark: f"{mark[1]}{block()}\n{mark[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(updated(readme.read_text(encoding="utf-8")), encoding="utf-8")
