"""Makes films.json, mvae-2.json and mvae-16.json: ``python book/widgets/pick-films/make.py``.

Two MVAEs of the synthetic world, with two and with sixteen numbers for a taste. The first is that of chapter
0; the other has its settings and a narrower hidden layer. Seeded, on one thread, about a minute.
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

HIDDEN = {2: 100, 16: 64}  # numbers of a taste -> width of the hidden layer
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
        """A model with the settings of chapter 0."""
        options = self.options
        model = vr.models.MVAE(self.split.n_items, hidden_dims=(HIDDEN[latent_dim],), latent_dim=latent_dim,
                               beta=options["beta"])
        vr.fit(model, self.split, max_epochs=options["max_epochs"], batch_size=options["batch_size"],
               lr=options["lr"], seed=options["seed"])
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


def with_weights(model: vr.models.MVAE, tensors: dict[str, torch.Tensor]) -> vr.models.MVAE:
    """The model with what the browser reads."""
    model.load_state_dict({NAMES[short]: values for short, values in tensors.items()}, strict=False)
    return model


def activity(world: World, model: vr.models.MVAE) -> list[float]:
    """Standard deviation of each number's mean over the training users, [L]."""
    world.model = model
    return make_tour.rounded(np.std(world.cloud(world.split.train.sequences())[0], axis=0))


def main() -> None:
    torch.set_num_threads(1)
    world = World()
    weights.write(HERE / "films.json", world.films())
    for latent_dim in HIDDEN:
        model = world.train(latent_dim)
        kept = weights.packed(model.state_dict(), NAMES)
        kept["activity"] = activity(world, model)
        if latent_dim == 2:
            kept |= world.plane(model)
        kept["ndcg"] = {"float32": vr.evaluate(model, world.split.test)["ndcg@100"]}
        quantised = with_weights(model, weights.unpacked(kept))
        kept["ndcg"]["int8"] = vr.evaluate(quantised, world.split.test)["ndcg@100"]
        print(kept["ndcg"])
        weights.write(HERE / f"mvae-{latent_dim}.json", kept)


if __name__ == "__main__":
    main()
