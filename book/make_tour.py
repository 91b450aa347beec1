"""Makes the data of the tour page: ``python book/make_tour.py`` writes book/_static/tour.json.

It trains the model of chapter 0 with the settings of that chapter's profile ``full``, which stand in
notebooks/profiles.yaml, and asks it about Ada, Ben and Chi film by film. Synthetic data only.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

import vaerec as vr
from vaerec.batches import Bags

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "book" / "_static" / "tour.json"
FRIENDS = ("Ada", "Ben", "Chi")
K, FAVOURITES, CROWD, LANDMARK = 10, 25, 300, 10
MANY = 30  # a longer history gets a slider of about this many stops


def settings() -> dict:
    """Chapter 0's parameters: the one place where they stand."""
    chapters = yaml.safe_load((ROOT / "notebooks" / "profiles.yaml").read_text(encoding="utf-8"))
    return chapters["00-tour"]["full"]


def stops(n_films: int) -> list[int]:
    """How many films the model sees at each place of the slider."""
    if n_films <= MANY:
        return list(range(n_films + 1))
    return sorted({0, *np.geomspace(1, n_films, MANY).round().astype(int).tolist()})


class Tour:
    """The trained model and what the page shows of it, in the split's dense film numbers."""

    def __init__(self, options: dict):
        self.options = options
        self.log = vr.load("synthetic")
        friends = np.isin(self.log.user_ids[self.log.user], FRIENDS)
        self.split = vr.protocols.LIANG_2018(self.log.select(~friends), n_heldout=options["n_heldout"])
        self.counts = self.split.test.item_counts
        truth = self.log.truth
        self.of_truth = pd.Index(truth.item_ids).get_indexer(self.split.item_ids)
        self.genre = truth.item_factors[self.of_truth].argmax(axis=1)  # the strongest of each film
        self.watched = {user: self._watched(user) for user in FRIENDS}
        self.favourites = {user: self._favourites(user) for user in FRIENDS}
        self.model = self._train()

    def _watched(self, user: str) -> np.ndarray:
        """Films oldest first, without those that training does not know."""
        place = int(np.flatnonzero(self.log.user_ids == user)[0])
        films = pd.Index(self.split.item_ids).get_indexer(self.log.item_ids[self.log.sequences()[place]])
        return films[films >= 0]

    def _favourites(self, user: str) -> np.ndarray:
        """The unwatched films that the user's true tastes, taken together, rank highest."""
        _, taste = self.log.truth.path(user)
        chance = self.log.truth.weights(taste)[:, self.of_truth]  # [T, I]
        chance[:, self.watched[user]] = 0
        chance /= chance.sum(axis=1, keepdims=True)
        return chance.mean(axis=0).argsort()[::-1][:FAVOURITES]

    def _train(self) -> vr.models.MVAE:
        options = self.options
        model = vr.models.MVAE(self.split.n_items, hidden_dims=(options["hidden"],), latent_dim=2,
                               beta=options["beta"])
        vr.fit(model, self.split, max_epochs=options["max_epochs"], batch_size=options["batch_size"],
               lr=options["lr"], seed=options["seed"])
        return model.cpu()

    @torch.no_grad()
    def cloud(self, histories: list) -> tuple[np.ndarray, np.ndarray]:
        """Centre and width of q(z | x) for B histories, each [B, 2]."""
        self.model.eval()
        mu, logvar = self.model.encode(Bags.from_histories(histories, self.model.device))
        return mu.numpy(), torch.exp(logvar / 2).numpy()

    def steps(self, user: str) -> list[dict]:
        """What the page shows at each stop of the slider."""
        films = self.watched[user]
        histories = [films[:n] for n in stops(len(films))]
        scores = self.model.scores(histories)  # an empty history gets popularity
        scores[:, films] = -torch.inf
        top = scores.topk(K, dim=1).indices.tolist()
        centre, width = self.cloud(histories)
        centre[0], width[0] = 0, 1  # without a film the model has its prior alone
        return [{"seen": len(history), "centre": rounded(centre[row]), "width": rounded(width[row]),
                 "top": top[row]} for row, history in enumerate(histories)]

    def landmarks(self) -> np.ndarray:
        """Centre of a history of the best-known films of one genre alone, for each genre, [L, 2]."""
        known = self.counts.argsort()[::-1]
        own = self.split.train.items["genres"].to_numpy()[known]
        return self.cloud([known[own == genre][:LANDMARK] for genre in self.log.truth.genres])[0]

    def ndcg(self) -> dict[str, float]:
        """Test NDCG@100 of the model and of what it stands between."""
        models = {"popularity": vr.models.Popularity(self.split.n_items), "mvae": self.model,
                  "oracle": vr.models.Oracle(self.log)}
        for name in ("popularity", "oracle"):
            vr.fit(models[name], self.split)
        return {name: round(vr.evaluate(model, self.split.test)["ndcg@100"], 4)
                for name, model in models.items()}


def rounded(values: np.ndarray) -> list:
    return np.asarray(values, float).round(3).tolist()


def build() -> dict:
    """Everything that the page needs, with films numbered anew from 0."""
    tour = Tour(settings())
    steps = {user: tour.steps(user) for user in FRIENDS}
    used = np.unique(np.concatenate([
        np.concatenate([tour.watched[user], tour.favourites[user], *(s["top"] for s in steps[user])])
        for user in FRIENDS]))

    def renumber(films) -> list[int]:
        return np.searchsorted(used, films).tolist()

    titles = tour.split.train.items["title"]
    return {
        "settings": tour.options,
        "fingerprint": tour.log.fingerprint,
        "n_items": tour.split.n_items,
        "ndcg": tour.ndcg(),
        "genres": list(tour.log.truth.genres),
        "landmarks": rounded(tour.landmarks()),
        "crowd": rounded(tour.cloud(tour.split.train.sequences()[:CROWD])[0]),
        "films": [[titles[film], int(tour.genre[film])] for film in used],
        "users": [{
            "name": user,
            "films": renumber(tour.watched[user]),
            "favourites": renumber(tour.favourites[user]),
            "steps": [step | {"top": renumber(step["top"])} for step in steps[user]],
        } for user in FRIENDS],
    }


def main() -> None:
    text = json.dumps(build(), ensure_ascii=False, separators=(",", ":"))
    TARGET.write_text(text + "\n", encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
