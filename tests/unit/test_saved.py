"""Models that readers have saved go on working: files of 0.1.0, from before models kept their item ids."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaerec as vr

SAVED = Path(__file__).with_name("saved")
EXPECTED = json.loads((SAVED / "expected.json").read_text(encoding="utf-8"))


def load(name: str) -> vr.models.TopNRecommender:
    kind = "MVAE" if name == "words" else name.partition("-")[0]
    return getattr(vr.models, kind).load(SAVED / f"{name}.safetensors")


def in_order(lists: pd.DataFrame) -> pd.DataFrame:
    """By score, and among equal scores by item: how ties are broken may change."""
    lists = lists.assign(score=lists["score"].astype(np.float64).round(4))
    return lists.sort_values(["user", "score", "item"], ascending=[True, False, True], ignore_index=True)


def test_there_is_a_file_of_every_model():
    there = {name.partition("-")[0] for name in EXPECTED} - {"words"}
    assert there == set(vr.models.__all__) - {"TopNRecommender", "Oracle"}


@pytest.mark.filterwarnings("ignore:1 of 5 histories hold no item")
@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_of_an_earlier_version_recommends_what_it_did(name):
    expected, model = EXPECTED[name], load(name)
    assert model.catalogue == expected["catalogue"] and model.item_ids is None
    ids = np.array(expected["item_ids"])
    lists = model.recommend(expected["histories"], k=len(ids), item_ids=ids)
    before = pd.DataFrame({column: expected[column] for column in ("user", "item", "score")})
    # All unseen items with their scores: an order of ranks by itself would depend on ties.
    pd.testing.assert_frame_equal(in_order(lists)[["user", "item", "score"]], in_order(before), atol=2e-4)
    for _, own in lists.groupby("user"):
        assert own["rank"].tolist() == list(range(1, len(own) + 1))
        assert own["score"].is_monotonic_decreasing


def test_a_file_without_ids_asks_for_them():
    with pytest.raises(ValueError, match="does not know the raw ids .* pass item_ids=split.item_ids"):
        load("MVAE").recommend([[1]])
