"""Recipes: how long, in which batches, and what `vr.fit` makes of what it is told."""

import re

import lightning as L
import pytest

import vaerec as vr
from vaerec.recipes import AUTOENCODERS, PUBLISHED, Recipe


class Seen(Exception):
    """Ends a run before its first step."""


def told(model, split, **options) -> dict:
    """The settings that a run begins with."""
    seen = {}

    class Look(L.Callback):
        def on_train_start(self, trainer, task):
            seen.update(task.settings)
            raise Seen

    with pytest.raises(Seen):
        vr.fit(model, split, callbacks=[Look()], **options)
    return {name: seen[name] for name in ("max_epochs", "batch_size", "lr", "weight_decay", "lr_schedule")}


def small(split, **options):
    return vr.models.MVAE(split.n_items, hidden_dims=(32,), latent_dim=8, **options)


def test_a_recipe_counts_steps_and_bounds_epochs():
    recipe = Recipe(batch_size=100, lr=0.01, steps=300, epochs=(2, 150))
    assert [recipe.max_epochs(n) for n in (1, 250, 1500, 1501, 20_000)] == [150, 100, 20, 19, 2]
    assert recipe.max_epochs(250, batch_size=25) == 30
    assert recipe.settings(250) == {"max_epochs": 100, "batch_size": 100, "lr": 0.01, "weight_decay": 0.0,
                                    "lr_schedule": "constant"}


@pytest.mark.parametrize("change", [{"batch_size": 0}, {"steps": -1}, {"lr": 0.0}, {"weight_decay": -1.0},
                                    {"lr_schedule": "linear"}, {"epochs": (0, 5)}, {"epochs": (6, 5)},
                                    {"epochs": (1, 2.5)}])
def test_a_recipe_refuses_what_cannot_be(change):
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=re.escape(f"{name}={value!r}")):
        Recipe(**{"batch_size": 10, "lr": 0.1, "steps": 1, "epochs": (1, 9)} | change)


def test_fit_takes_the_recipe_whole(world_split):
    """280 training users."""
    model = small(world_split)
    own = AUTOENCODERS.settings(280)
    assert told(model, world_split) == own
    assert told(model, world_split, max_epochs=3) == own | {"max_epochs": 3}
    assert told(model, world_split, lr=0.25, lr_schedule="constant") == own | {"lr": 0.25,
                                                                               "lr_schedule": "constant"}


def test_a_batch_size_of_ones_own_leaves_the_recipe(world_split):
    given = told(small(world_split), world_split, batch_size=50, max_epochs=7)
    assert given == {"max_epochs": 7, "batch_size": 50, "lr": 1e-3, "weight_decay": 0.0,
                     "lr_schedule": "constant"}
    svae = told(vr.models.SVAE(world_split.n_items), world_split, batch_size=50, max_epochs=7)
    assert svae == {"max_epochs": 7, "batch_size": 50, "lr": 8e-3, "weight_decay": 5e-5,
                    "lr_schedule": "cosine"}
    assert told(vr.models.SVAE(world_split.n_items), world_split)["max_epochs"] == 20


def test_published_settings_have_a_name(world_split):
    settings = PUBLISHED["MVAE"].settings(world_split.train.n_users)
    assert settings["max_epochs"] == 200 and settings["batch_size"] == 500
    assert told(small(world_split), world_split, **settings) == settings


def test_fit_that_is_told_nothing_gives_a_good_model(world_split):
    """The papers' batches and learning rate in as many epochs hardly leave the start."""
    metric = "validation_ndcg@100"
    ours = vr.fit(small(world_split), world_split)
    paper = vr.fit(small(world_split), world_split, batch_size=500, max_epochs=20)
    popularity = vr.models.Popularity(world_split.n_items)
    assert ours[metric].max() > paper[metric].max() + 0.02
    assert ours[metric].max() > vr.fit(popularity, world_split)[metric].max() + 0.02


def test_fit_says_that_training_was_too_short(world_split, capsys):
    options = {"max_epochs": 3, "batch_size": 50}
    history = vr.fit(small(world_split), world_split, lr=2e-3, **options)
    assert history["validation_ndcg@100"].idxmax() == 2  # the case that the line is about
    assert capsys.readouterr().out.count("the best epoch was the last of 3") == 1
    vr.fit(small(world_split), world_split, lr=2e-3, lr_schedule="cosine", **options)
    vr.fit(small(world_split), world_split, max_epochs=1, batch_size=50)
    settled = vr.fit(small(world_split), world_split, max_epochs=60, batch_size=50, lr=0.1, patience=1)
    assert settled["validation_ndcg@100"].idxmax() < len(settled) - 1
    assert capsys.readouterr().out == ""
