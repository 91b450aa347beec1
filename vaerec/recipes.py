"""How a model is trained: settings that belong together, as named rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral

from vaerec.checks import check_whole

LR_SCHEDULES = {  # the part of lr at a fraction of training
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: min(progress / 0.05, (1 + math.cos(math.pi * progress)) / 2),
}


@dataclass(frozen=True)
class Recipe:
    """Settings of `vaerec.fit`, with a length of training that depends on the number of users.

    What a model learns is decided by its steps, not by its epochs: 100 epochs in batches of 500 are 23,000
    steps with the training users of MovieLens-20M and 1,000 with those of MovieLens-1M. So a recipe counts
    steps, and bounds the epochs.

    Attributes
    ----------
    batch_size : int
        Users a step.
    lr : float
        Adam's learning rate. It belongs to the batch size and to the length of training.
    steps : int
    epochs : (int, int)
        At least and at most so many passes over the users, whatever the steps.
    weight_decay : float
        Adam's penalty.
    lr_schedule : {"constant", "cosine"}

    Raises
    ------
    ValueError
        A value out of range.
    """

    batch_size: int
    lr: float
    steps: int
    epochs: tuple[int, int]
    weight_decay: float = 0.0
    lr_schedule: str = "constant"

    def __post_init__(self):
        least, most = self.epochs
        check_whole(batch_size=self.batch_size)
        check_whole(steps=self.steps, at_least=0)
        if not (isinstance(least, Integral) and isinstance(most, Integral) and 1 <= least <= most):
            raise ValueError(f"epochs={self.epochs}: expected two whole numbers, the second not smaller")
        if not 0 < self.lr < float("inf"):
            raise ValueError(f"lr={self.lr}: expected a positive number")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"weight_decay={self.weight_decay}: expected a number of at least 0")
        if self.lr_schedule not in LR_SCHEDULES:
            raise ValueError(f"lr_schedule={self.lr_schedule!r}: expected one of {tuple(LR_SCHEDULES)}")

    def __getitem__(self, name: str) -> float | str:
        """A setting by its name: chapters read ``SVAE.recipe["batch_size"]``."""
        return getattr(self, name)

    def max_epochs(self, n_users: int, batch_size: int | None = None) -> int:
        """Passes over ``n_users`` training users, in batches of another size if one is given."""
        steps_an_epoch = -(-n_users // (batch_size or self.batch_size))
        least, most = self.epochs
        return min(most, max(least, -(-self.steps // steps_an_epoch)))

    def settings(self, n_users: int) -> dict:
        """Keyword arguments of `vaerec.fit` for so many training users.

        Examples
        --------
        >>> from vaerec.recipes import PUBLISHED
        >>> PUBLISHED["MVAE"].settings(n_users=4534)["max_epochs"]
        200
        """
        return {"max_epochs": self.max_epochs(n_users), "batch_size": self.batch_size, "lr": self.lr,
                "weight_decay": self.weight_decay, "lr_schedule": self.lr_schedule}


LIANG_2018 = Recipe(batch_size=500, lr=1e-3, steps=0, epochs=(200, 200))
PUBLISHED = {
    "MVAE": LIANG_2018,  # Liang et al. 2018, §4.3, and the authors' code
    "MultDAE": LIANG_2018,
    # the code of Sachdeva et al. 2019
    "SVAE": Recipe(batch_size=1, lr=1e-3, steps=0, epochs=(25, 25), weight_decay=5e-3),
}
"""The papers' settings, by model: for the numbers of users of the papers."""

AUTOENCODERS = Recipe(batch_size=100, lr=5e-3, steps=1000, epochs=(5, 50), lr_schedule="cosine")
"""The default of MVAE, Mult-DAE and the plain autoencoder (measured: benchmarks/recipe_sizes.csv)."""

SVAE = Recipe(batch_size=16, lr=8e-3, steps=0, epochs=(20, 20), weight_decay=5e-5, lr_schedule="cosine")
"""SVAE's default."""
