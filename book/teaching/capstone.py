"""Beat EASE: make the world of the capstone, and score a student's lists.

    python book/teaching/capstone.py make capstone    # draws a secret seed, fills the folder
    python book/teaching/capstone.py score ada.csv --seed SEED --part rehearsal
    python book/teaching/capstone.py score ada.csv --seed SEED

Students get the folder. The seed stays with the lecturer: whoever has it has the answers.
"""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import vaerec as vr

# Another world than the book's: other people and films, more genres, and tastes that move a little faster.
WORLD = {"n_users": 3000, "n_items": 800, "n_latent": 10, "drift": 0.3}
# EASE's best penalty in such worlds, so that turning its own knob is no way to beat it (beat_ease.csv).
EASE_L2 = 2000.0
N_HELD_OUT = 400
LENGTH = 100
METRIC = f"ndcg@{LENGTH}"
COLUMNS = ["user", "rank", "item"]
PARTS = {"rehearsal": "validation", "exam": "test"}  # what students know as ... is which part of the split


def make_split(seed: int) -> tuple[vr.Interactions, vr.protocols.Split]:
    """The world of a seed, and who is held out in it: the last fifth of a history is asked for."""
    log = vr.load("synthetic", seed=seed, **WORLD)
    return log, vr.protocols.strong_generalization(log, n_heldout=N_HELD_OUT, targets="temporal")


def write(folder: Path, seed: int) -> None:
    """What students get: the training log, the catalogue, and what the held-out users have watched."""
    _, split = make_split(seed)
    folder.mkdir(parents=True, exist_ok=True)
    train = split.train
    pd.DataFrame({
        "user": train.user_ids[train.user], "item": train.item_ids[train.item], "timestamp": train.timestamp,
    }).to_csv(folder / "training.csv", index=False)
    train.items.to_csv(folder / "catalogue.csv", index=False)
    for name, part in PARTS.items():
        held_out = getattr(split, part)
        lengths = [len(history) for history in held_out.fold_in]
        pd.DataFrame({
            "user": np.repeat(held_out.user_ids, lengths),
            "item": split.item_ids[np.concatenate(held_out.fold_in)],  # oldest first
        }).to_csv(folder / f"{name}.csv", index=False)


class Lists(vr.models.TopNRecommender):
    """A submission as a model, so that `vr.evaluate` scores it like any other: its lists are looked up."""

    needs_users = True

    def __init__(self, lists: pd.DataFrame, split: vr.protocols.Split):
        super().__init__(split.n_items)
        places = pd.Index(split.item_ids).get_indexer(lists["item"])
        by_rank = lists.assign(item=places).sort_values(["user", "rank"])
        self.lists = {user: items.to_numpy() for user, items in by_rank.groupby("user")["item"]}

    def score_batch(self, histories, users=None) -> torch.Tensor:
        """LENGTH for the first film, one less for each rank, and 0 for films that are not in the list."""
        scores = torch.zeros(len(histories), self.n_items)
        places = torch.from_numpy(np.stack([self.lists[user] for user in users]))  # [B, LENGTH]
        return scores.scatter(1, places, torch.arange(LENGTH, 0, -1.0).expand(len(places), -1))


def read_submission(path: Path, split: vr.protocols.Split, part: str) -> pd.DataFrame:
    """Read ranked lists for the held-out users of a part.

    Raises
    ------
    ValueError
        The file does not hold, for each of these users, the ranks 1 to LENGTH with as many different films of
        the catalogue that the user has not watched. Says what is wrong first, and where.
    """
    try:
        lists = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if list(lists.columns) != COLUMNS:
        raise ValueError(f"{path} has the columns {list(lists.columns)}; expected {COLUMNS}")
    for name in ("rank", "item"):
        whole = lists[name].str.fullmatch(r"\d{1,9}")
        refuse(path, lists, ~whole, f"{name} must be a whole number")
        lists[name] = lists[name].astype(int)
    held_out = getattr(split, PARTS[part])
    unknown = ~lists["user"].isin(held_out.user_ids)
    refuse(path, lists, unknown, f"a user who is not in {part}.csv")
    refuse(path, lists, ~lists["item"].isin(split.item_ids), "an item that is not in catalogue.csv")
    refuse(path, lists, lists.duplicated(["user", "item"]), "an item that this user's list has already")
    refuse(path, lists, lists.duplicated(["user", "rank"]), "a rank that this user's list has already")
    refuse(path, lists, ~lists["rank"].between(1, LENGTH), f"a rank that is not in 1 to {LENGTH}")
    seen = {(user, item) for user, history in zip(held_out.user_ids, held_out.fold_in, strict=True)
            for item in split.item_ids[history]}
    has_seen = [pair in seen for pair in zip(lists["user"], lists["item"], strict=True)]
    refuse(path, lists, pd.Series(has_seen, dtype=bool), "an item that this user has watched already")
    count = lists["user"].value_counts().reindex(held_out.user_ids, fill_value=0)
    if (count == 0).any():
        raise ValueError(f"{path} has no list for {(count == 0).sum()} of {len(count)} users; "
                         f"the first is {count.index[(count == 0).argmax()]}")
    if (count < LENGTH).any():
        user = count.index[(count < LENGTH).argmax()]
        missing = set(range(1, LENGTH + 1)) - set(lists.loc[lists["user"] == user, "rank"])
        raise ValueError(f"{path} has a gap in the list of {user}: rank {min(missing)} is missing; "
                         f"each list has the ranks 1 to {LENGTH}")
    return lists


def refuse(path: Path, lists: pd.DataFrame, wrong: pd.Series, what: str) -> None:
    """Raise ValueError for the first row that is wrong."""
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        shown = ", ".join(f"{name} {lists[name].iloc[row]}" for name in COLUMNS)
        raise ValueError(f"{path}, line {row + 2}: {what} ({shown})")


def rivals(log: vr.Interactions, split: vr.protocols.Split) -> dict[str, vr.models.TopNRecommender]:
    """Floor, the model to beat, its stronger sister, and the ceiling."""
    models = {
        "popularity": vr.models.Popularity(split.n_items),
        "EASE": vr.models.EASE(split.n_items, l2=EASE_L2),
        "EASE, recent films weigh more": vr.models.EASE(split.n_items, l2=EASE_L2, recency=0.9),
        "Oracle": vr.models.Oracle(log),
    }
    for model in models.values():
        vr.fit(model, split)
    return models


def score(path: Path, seed: int, part: str = "exam") -> pd.DataFrame:
    """NDCG@100 of submission and rivals, and paired differences, with 95 % intervals over users."""
    log, split = make_split(seed)
    submission = Lists(read_submission(path, split, part), split)
    return table({"submission": submission, **rivals(log, split)}, getattr(split, PARTS[part]))


def table(models: dict, held_out: vr.protocols.HeldOut) -> pd.DataFrame:
    """One row a model; the differences are the first model minus this one, on the same users."""
    reports = {name: vr.evaluate(model, held_out, ks=(LENGTH,)) for name, model in models.items()}
    ours = next(iter(reports.values()))
    rows = {}
    for name, report in reports.items():
        mean, low, high = report.summary().loc[METRIC]
        rows[name] = {METRIC: mean, "low": low, "high": high}
        if report is not ours:
            paired = vr.compare(ours, report, METRIC)
            rows[name] |= {"difference": paired.difference, "difference low": paired.low,
                           "difference high": paired.high}
    return pd.DataFrame.from_dict(rows, orient="index")


def verdict(scores: pd.DataFrame) -> str:
    """Did it beat EASE? Only an interval above zero says so."""
    low, high = scores.loc["EASE", ["difference low", "difference high"]]
    if low > 0:
        return "The submission beats EASE."
    return "EASE beats the submission." if high < 0 else "These users cannot tell the submission from EASE."


def main(arguments: list[str] | None = None) -> int:
    """Make a world or score a submission."""
    parser = argparse.ArgumentParser(description="The capstone: beat EASE.")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="write the students' files")
    make.add_argument("folder", type=Path)
    make.add_argument("--seed", type=int, help="to write the files of an earlier seed again")
    judge = commands.add_parser("score", help="score a CSV file with the columns user, rank, item")
    judge.add_argument("submission", type=Path)
    judge.add_argument("--seed", type=int, required=True)
    judge.add_argument("--part", choices=PARTS, default="exam")
    options = parser.parse_args(arguments)
    if options.command == "make":
        # Too large to be guessed by making one world after another.
        seed = secrets.randbits(60) if options.seed is None else options.seed
        write(options.folder, seed)
        print(f"wrote {options.folder}; the secret seed is {seed}: keep it, and keep it to yourself")
        return 0
    try:
        scores = score(options.submission, options.seed, options.part)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(scores.to_string(float_format="{:.4f}".format, na_rep=""))
    print(verdict(scores))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
