"""Make data.json: the published rows of chapter 9 and what the book measured, from committed files alone.

    python book/widgets/three-tables/make.py

Published values come from benchmarks/published.yaml; MVAE and SVAE from detective.csv and svae_runs.csv,
means over seeds; popularity and EASE from what notebook 9 recorded. What is not there was not measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(ROOT / "notebooks")]
import run  # noqa: E402 - a script of this repository

PROTOCOLS = {  # users asked, films to find, what counts as liked
    "LIANG_2018": ("strangers", "random", "four"), "SACHDEVA_2019": ("strangers", "last", "four"),
    "BLOG_2022": ("known", "random", "four"), "METAREC": ("known", "random", "every"),
}
ROWS = (("sachdeva_2019", "SVAE paper", "MVAE"), ("sachdeva_2019", "SVAE paper", "SVAE"),
        ("blog_2022", "Blog post", "MVAE"), ("blog_2022", "Blog post", "SVAE"),
        ("metarec", "MetaRec", "EASE"), ("metarec", "MetaRec", "MVAE"), ("metarec", "MetaRec", "SVAE"))


def measured() -> list[dict]:
    """Our NDCG@100, one entry a model, protocol and mask; ``runs`` counts seeds where chance is involved."""
    tables = ROOT / "benchmarks"
    detective = pd.read_csv(tables / "detective.csv")
    detective[["name", "model"]] = detective["variant"].str.extract(r"^(\w+) (MVAE|SVAE)$")
    long = pd.read_csv(tables / "svae_runs.csv").query("variant == 'SVAE'")
    runs = pd.concat([detective.dropna(subset="name"),
                      long.assign(model="SVAE", protocol="SACHDEVA_2019", masked=True)])
    entries = [{"model": model, "protocol": protocol, "masked": bool(masked),
                "value": round(float(group["ndcg@100"].mean()), 6), "runs": len(group)}
               for (model, protocol, masked), group in runs.groupby(["model", "protocol", "masked"])]
    recorded = run.recorded(run.read("09-a-detective-story"))
    for protocol in PROTOCOLS:
        for model in ("popularity", "EASE"):
            for masked, end in ((True, ""), (False, "_unmasked")):
                key = f"c09_{model.lower()}_{protocol.partition('_')[0].lower()}{end}_ndcg@100"
                entries.append({"model": model, "protocol": protocol, "masked": masked,
                                "value": round(recorded[key], 6), "runs": None})
    return entries


def published() -> list[dict]:
    """The rows of the three sources; ``test`` is the test value where the table shows another."""
    sources = yaml.safe_load((ROOT / "benchmarks" / "published.yaml").read_text(encoding="utf-8"))
    rows = []
    for source, label, model in ROWS:
        values = sources[source]["results"][model]
        rows.append({"source": label, "model": model, "value": values["ndcg@100"],
                     "test": values.get("test_ndcg@100")})
    return rows


def data() -> dict:
    """All that the widget shows."""
    protocols = [{"name": name, "users": users, "targets": targets, "likes": likes}
                 for name, (users, targets, likes) in PROTOCOLS.items()]
    return {"protocols": protocols, "measured": measured(), "published": published()}


if __name__ == "__main__":
    (HERE / "data.json").write_text(json.dumps(data(), indent=1) + "\n", encoding="utf-8")
