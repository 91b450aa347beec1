"""Make data.json: a small synthetic world for the collapse machine, and the linear VAE's eigenvalues.

    python book/widgets/collapse/make.py

300 users of the package's synthetic world with two genres, whose tastes do not drift: the truth is one point
a user, by which the page colours. Most users keep only the oldest part of their history, so that some clouds
are wide and some are narrow; Ada, Ben and Chi keep all that a catalogue of 60 films allows.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from vaerec.datasets.synthetic import make_world

HERE = Path(__file__).parent
WORLD = {"n_users": 300, "n_items": 60, "n_latent": 2, "drift": 0.0, "seed": 5}
NAMED = 3  # Ada, Ben, Chi
FEWEST = 3  # films kept at least; at most all of them
LINEAR = {"eigenvalues": [4.0, 2.2, 1.5, 0.6, 0.3, 0.12], "noise_var": 0.18}  # those of chapter 5


def data() -> dict:
    """Histories as lists of dense items, true tastes, names; the fingerprint says of which world."""
    log = make_world(**WORLD)
    truth = log.truth
    start = truth.start
    length = np.diff(start)
    generator = np.random.Generator(np.random.PCG64(WORLD["seed"]))
    kept = np.rint(FEWEST * (length / FEWEST) ** generator.random(len(length))).astype(int)
    kept[:NAMED] = length[:NAMED]
    histories = [truth.item[first:first + n].tolist() for first, n in zip(start[:-1], kept, strict=True)]
    taste = np.stack([truth.taste[first:first + n].mean(axis=0)
                      for first, n in zip(start[:-1], kept, strict=True)])
    return {"world": WORLD, "fingerprint": log.fingerprint, "genres": list(truth.genres),
            "users": truth.user_ids.tolist()[:NAMED], "histories": histories,
            "taste": [[round(float(value), 3) for value in row] for row in taste],
            "films": film_order(truth).tolist(), "linear": LINEAR}


def film_order(truth) -> np.ndarray:
    """All films, from comedy to noir: the columns of the picture of lists."""
    comedy, noir = truth.item_factors.T
    return np.argsort(noir - comedy, kind="stable")


if __name__ == "__main__":
    (HERE / "data.json").write_text(json.dumps(data(), separators=(",", ":")) + "\n", encoding="utf-8")
