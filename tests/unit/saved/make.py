"""Wrote the model files beside it, once, with version 0.1.0 before models kept their item ids.

    python tests/unit/saved/make.py tests/unit/saved

They stand for the files that readers have: never write them again, add others under new names.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import vaerec as vr
from vaerec.elbo import Constant, Cyclical

MAKERS = {
    "Popularity": vr.models.Popularity,
    "Random": lambda n: vr.models.Random(n, seed=3),
    "EASE": lambda n: vr.models.EASE(n, l2=5.0),
    "EASE-recency": lambda n: vr.models.EASE(n, l2=5.0, recency=0.8),
    "Autoencoder": lambda n: vr.models.Autoencoder(n, hidden_dims=(6,), latent_dim=3, l2=1e-4),
    "MultDAE": lambda n: vr.models.MultDAE(n, latent_dim=4),
    "MVAE": lambda n: vr.models.MVAE(n, hidden_dims=(6, 5), latent_dim=3),
    "MVAE-cyclical": lambda n: vr.models.MVAE(n, hidden_dims=(6,), latent_dim=3, beta=Cyclical(0.3, 2)),
    "SVAE": lambda n: vr.models.SVAE(n, 5, 6, (4,), 3),
    "SVAE-lstm-tied": lambda n: vr.models.SVAE(n, 4, 6, (4,), 3, beta=Constant(0.1), targets="all",
                                               cell="lstm", tied=True),
    "words": lambda n: vr.models.MVAE(n, hidden_dims=(6,), latent_dim=3),  # of a catalogue of text ids
}


def main(folder: Path) -> None:
    """Train each model for a moment and keep its file and the scores of all items that are not seen."""
    numbers = vr.load("synthetic", n_users=120, n_items=30)
    words = vr.Interactions.from_frame(pd.DataFrame({
        "user": numbers.user, "item": [f"sku-{item}" for item in numbers.item_ids[numbers.item]],
        "timestamp": numbers.timestamp}))
    expected = {}
    for name, make in MAKERS.items():
        split = vr.protocols.LIANG_2018(words if name == "words" else numbers, n_heldout=20)
        model = make(split.n_items)
        vr.fit(model, split, max_epochs=3, batch_size=20)
        model.save(folder / f"{name}.safetensors")
        ids = split.item_ids
        histories = [ids[history].tolist() for history in split.test.fold_in[:4]] + [[]]
        lists = model.recommend(histories, k=split.n_items, item_ids=ids)
        expected[name] = {"item_ids": ids.tolist(), "catalogue": split.catalogue, "histories": histories,
                          "user": lists["user"].tolist(), "item": lists["item"].tolist(),
                          "score": lists["score"].astype(np.float64).round(6).tolist()}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
