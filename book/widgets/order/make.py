"""Makes svae.json: ``python book/widgets/order/make.py``.

An SVAE with 48 units, trained on the synthetic world in time order. Films, users and the MVAE beside it are
those of the widget pick-films. Seeded, on one thread, some minutes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

import vaerec as vr

HERE = Path(__file__).resolve().parent
FILMS = HERE.parent / "pick-films" / "films.json"
sys.path.insert(0, str(HERE.parent / "_shared"))
import weights  # noqa: E402 - a script of this repository

SIZES = {"embedding_dim": 48, "rnn_dim": 48, "hidden_dims": (32,), "latent_dim": 16}
EPOCHS, HELD_OUT, SEED = 10, 300, 0
NAMES = {"embedding": "embedding.weight", "inputs": "rnn.weight_ih_l0", "inputsBias": "rnn.bias_ih_l0",
         "state": "rnn.weight_hh_l0", "stateBias": "rnn.bias_hh_l0",
         "hidden": "encoder.0.weight", "hiddenBias": "encoder.0.bias",
         "cloud": "encoder.2.weight", "cloudBias": "encoder.2.bias",
         "decoder": "decoder.0.weight", "decoderBias": "decoder.0.bias",
         "last": "decoder.2.weight", "lastBias": "decoder.2.bias"}


def split() -> vr.protocols.Split:
    """The strangers' films in time order. Its catalogue must be that of films.json."""
    log = vr.load("synthetic")
    strangers = log.select(~np.isin(log.user_ids[log.user], ["Ada", "Ben", "Chi"]))
    made = vr.protocols.SACHDEVA_2019(strangers, n_heldout=HELD_OUT)
    titles = json.loads(FILMS.read_text(encoding="utf-8"))["titles"]
    if made.train.items["title"].tolist() != titles:
        raise ValueError("films.json has another catalogue: run book/widgets/pick-films/make.py first")
    return made


def model(n_items: int) -> vr.models.SVAE:
    """The model before training."""
    return vr.models.SVAE(n_items, **SIZES)


def with_weights(svae: vr.models.SVAE, tensors: dict[str, torch.Tensor]) -> vr.models.SVAE:
    """The model with what the browser reads."""
    svae.load_state_dict({NAMES[short]: values for short, values in tensors.items()}, strict=False)
    return svae


def main() -> None:
    torch.set_num_threads(1)
    data = split()
    svae = model(data.n_items)
    vr.fit(svae, data, max_epochs=EPOCHS, seed=SEED)
    kept = weights.packed(svae.cpu().state_dict(), NAMES)
    kept["ndcg"] = {"float32": vr.evaluate(svae, data.test)["ndcg@100"]}
    with_weights(svae, weights.unpacked(kept))
    kept["ndcg"]["int8"] = vr.evaluate(svae, data.test)["ndcg@100"]
    print(kept["ndcg"])
    weights.write(HERE / "svae.json", kept)


if __name__ == "__main__":
    main()
