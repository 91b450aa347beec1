"""Makes films.json, mvae-2.json and mvae-16.json: ``python book/widgets/pick-films/make.py``.

Two MVAEs of the synthetic world. The one with sixteen numbers for a taste is trained as the model of chapter
0. The one with two gets three times as many epochs and a lower weight of the rate, or its plane has no place
for noir. Seeded, on one thread, some minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import vaerec as vr

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "_shared")]
import make_tour  # noqa: E402 - scripts of this repository
import weights  # noqa: E402

# Numbers of a taste -> width of the hidden layer, and training.
SIZES = {2: {"hidden": 100, "beta": 0.6, "lr": 0.005, "max_epochs": 100},
         16: {"hidden": 64, "beta": 1.0, "lr": 0.003, "max_epochs": 30}}
CROWD = 250  # strangers whose places are shown in the plane
NAMES = {"first": "first.weight", "firstBias": "first.bias", "encoder": "encoder.0.weight",
         "encoderBias": "encoder.0.bias", "decoder": "decoder.0.weight", "decoderBias": "decoder.0.bias",
         "last": "decoder.2.weight", "lastBias": "decoder.2.bias"}


class World(make_tour.Tour):
    """The tour's world: its split, its three users and their hidden favourites."""

    def __init__(self):
        super().__init__(make_tour.settings())

    def _train(self):
        return None  # `train` does, once for each model

    def train(self, latent_dim: int) -> vr.models.MVAE:
        """A model with so many numbers for a taste."""
        options, model = SIZES[latent_dim], untrained(self.split.n_items, latent_dim)
        vr.fit(model, self.split, max_epochs=options["max_epochs"], lr=options["lr"],
               batch_size=self.options["batch_size"], seed=self.options["seed"])
        return model.cpu()

    def films(self) -> dict:
        """Titles, genres, how often each film was watched, and the three users."""
        titles = self.split.train.items["title"]
        return {
            "fingerprint": self.log.fingerprint,
            "genres": list(self.log.truth.genres),
            "titles": titles.tolist(),
            "genre": self.genre.tolist(),
            "counts": self.counts.tolist(),
            "users": [{"name": user, "films": self.watched[user].tolist(),
                       "favourites": self.favourites[user].tolist()} for user in make_tour.FRIENDS],
        }

    def plane(self, model: vr.models.MVAE) -> dict:
        """Where genres and strangers are in the plane of a model with two numbers."""
        self.model = model
        crowd = self.split.train.sequences()[:CROWD]
        return {"landmarks": make_tour.rounded(self.landmarks()),
                "crowd": make_tour.rounded(self.cloud(crowd)[0])}


def untrained(n_items: int, latent_dim: int) -> vr.models.MVAE:
    """The model before training."""
    options = SIZES[latent_dim]
    return vr.models.MVAE(n_items, hidden_dims=(options["hidden"],), latent_dim=latent_dim,
                          beta=options["beta"])


def with_weights(model: vr.models.MVAE, tensors: dict[str, torch.Tensor]) -> vr.models.MVAE:
    """The model with what the browser reads."""
    model.load_state_dict({NAMES[short]: values for short, values in tensors.items()}, strict=False)
    return model


def activity(world: World, model: vr.models.MVAE) -> list[float]:
    """Standard deviation of each number's mean over the training users, [L]."""
    world.model = model
    return make_tour.rounded(np.std(world.cloud(world.split.train.sequences())[0], axis=0))


def content(world: World, model: vr.models.MVAE) -> dict:
    """Weights of a trained model, and what the page says of it."""
    kept = weights.packed(model.state_dict(), NAMES)
    kept["activity"] = activity(world, model)
    if model.latent_dim == 2:
        kept |= world.plane(model)
    kept["ndcg"] = {"float32": vr.evaluate(model, world.split.test)["ndcg@100"]}
    quantised = with_weights(model, weights.unpacked(kept))
    kept["ndcg"]["int8"] = vr.evaluate(quantised, world.split.test)["ndcg@100"]
    print(kept["ndcg"])
    return kept


def main() -> None:
    torch.set_num_threads(1)
    world = World()
    weights.write(HERE / "films.json", world.films())
    for latent_dim in SIZES:
        weights.write(HERE / f"mvae-{latent_dim}.json", content(world, world.train(latent_dim)))


if __name__ == "__main__":
    main()
