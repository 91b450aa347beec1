"""Raw ids at the doors of a model: found, kept, or refused in a sentence; never popularity in silence."""

import os
import stat

import numpy as np
import pandas as pd
import pytest
import torch

import vaerec as vr
from tests.conftest import random_log
from vaerec.models.items import Finder, take_from, to_tensors


def named(log: vr.Interactions, name) -> vr.Interactions:
    """The same log with other raw ids of items."""
    return vr.Interactions.from_frame(pd.DataFrame({
        "user": log.user_ids[log.user], "item": [name(item) for item in log.item_ids[log.item]],
        "timestamp": log.timestamp}))


@pytest.fixture(scope="module")
def words() -> vr.protocols.Split:
    return vr.protocols.strong_generalization(named(random_log(1), "sku-{}".format), n_heldout=5)


@pytest.fixture(scope="module")
def numbers() -> vr.protocols.Split:
    return vr.protocols.strong_generalization(random_log(1), n_heldout=5)


def fitted(split, make=vr.models.EASE):
    model = make(split.n_items)
    vr.fit(model, split, max_epochs=1)
    return model


@pytest.mark.parametrize("kind", ["words", "numbers"])
def test_a_saved_model_works_alone(kind, request, tmp_path):
    split = request.getfixturevalue(kind)
    model = fitted(split)
    model.save(tmp_path / "m")
    alone = vr.models.EASE.load(tmp_path / "m")
    histories = [split.item_ids[[3, 1]].tolist(), split.item_ids[[2]]]
    lists = alone.recommend(histories)
    pd.testing.assert_frame_equal(lists, model.recommend(histories, item_ids=split.item_ids))
    assert {type(item) for item in lists["item"].tolist()} == {str if kind == "words" else int}
    assert alone.item_ids.tolist() == split.item_ids.tolist() and alone.catalogue == split.catalogue


def test_given_ids_are_checked(words, numbers):
    model = fitted(words)
    with pytest.raises(ValueError, match="item_ids holds 2 ids"):
        model.recommend([["sku-2"]], item_ids=np.array(["sku-2", "sku-9"]))
    with pytest.raises(ValueError, match="fitted on another catalogue"):
        model.recommend([["sku-2"]], item_ids=words.item_ids[::-1])
    with pytest.raises(ValueError, match=r"holds 'a' \(str\) twice"):
        vr.models.Random(2).recommend([["a"]], k=1, item_ids=np.array(["a", "a"]))
    with pytest.raises(ValueError, match="does not know the raw ids of its items"):
        vr.models.Random(2).recommend([["a"]], k=1)


def test_a_file_is_for_whoever_may_read_the_folder(words, tmp_path):
    fitted(words).save(tmp_path / "m")
    (tmp_path / "other").touch()
    assert stat.S_IMODE(os.stat(tmp_path / "m").st_mode) == stat.S_IMODE(os.stat(tmp_path / "other").st_mode)


@pytest.mark.parametrize("ids", [np.array([5, 7], np.int32), np.array([2**63, 1], np.uint64),
                                 np.array([0.5, 2.0]), np.array(["ü", "\ud800", ""], object),
                                 np.array([1, "1", 2.5], object),
                                 np.array(["a", "b"])])
def test_ids_keep_their_types_in_a_file(ids):
    again = take_from(to_tensors(ids))
    assert again.tolist() == ids.tolist()
    assert list(map(type, again.tolist())) == list(map(type, ids.tolist()))


def test_many_ids_take_little_room():
    ids = np.array([f"sku-{i:08d}" for i in range(10_000)], object)
    assert sum(tensor.nbytes for tensor in to_tensors(ids).values()) < 20 * len(ids)


def test_ids_that_no_file_holds_are_left_out_with_a_warning(numbers, tmp_path):
    model = fitted(numbers)
    model.item_ids = pd.to_datetime(numbers.item_ids).to_numpy().astype(object)
    with pytest.raises(TypeError, match="a file holds numbers and texts only"):
        to_tensors(np.array([(1, 2), None], object))
    model.item_ids = np.array([(i,) for i in range(numbers.n_items)] + [None], object)[:-1]
    with pytest.warns(UserWarning, match="without the ids of the items"):
        model.save(tmp_path / "m")
    assert vr.models.EASE.load(tmp_path / "m").item_ids is None


@pytest.mark.parametrize("ids, raw, place", [
    ([7, 101], "101", 1), ([7, 101], 101.0, 1), ([7, 101], np.int32(101), 1), ([7, 101], "0101", -1),
    ([7, 101], 101.5, -1), ([1, 101], True, -1), ([7, 101], None, -1), ([7, 101], float("nan"), -1),
    (["007", "7"], 7, 1), (["007", "7"], "007", 0), (["007", "8"], 7, -1), (["7", "101"], 101.0, 1),
    ([7, "7"], "7", 1), ([7, "7"], 7, 0), ([2**53 + 1, 2**53], str(2**53 + 1), 0), ([1.0, 2.5], "1", 0),
    ([7, 101], b"101", -1)])
def test_ids_are_compared_as_the_type_of_the_catalogue(ids, raw, place):
    assert Finder(np.array(ids, dtype=object)).find([raw]).tolist() == [place]


@pytest.mark.parametrize("histories, message", [
    ("sku-2", r"histories is 'sku-2' \(str\): expected a list of histories"),
    (["sku-2"], r"histories\[0\] is 'sku-2' \(str\).*such as \[\[1, 2\]\]"),
    ([2, 9], r"histories\[0\] is 2 \(int\)"), (np.array([2, 9]), r"histories\[0\] is 2 \(int\)"),
    (torch.tensor([2, 9]), r"histories\[0\] is 2 \(int\)"), (7, r"histories is 7 \(int\)"),
    ({"ada": [2]}, r"histories is .* \(dict\)"), (pd.DataFrame({"item": [2]}), r"\(DataFrame\)"),
    ([{2: 5.0}], r"histories\[0\] is .* \(dict\)"), ([None], r"histories\[0\] is None \(NoneType\)"),
    ([["sku-2"], "sku-9"], r"histories\[1\] is 'sku-9'"), ([[["sku-2"]]], r"a history holds .*\(list\)"),
    ([["sku-2"], [2, "sku-no"]], r"item 2 \(int\) of histories\[1\] .* such as 'sku-\d+' \(str\)"),
    ([["sku-2", None]], r"item None \(NoneType\)")])
def test_what_is_no_list_of_histories_is_refused(words, histories, message):
    with pytest.raises(ValueError, match=message):
        fitted(words).recommend(histories)


@pytest.mark.parametrize("history", [["sku-2"], ("sku-2",), {"sku-2"}, np.array(["sku-2"]),
                                     pd.Series(["sku-2"]), pd.Index(["sku-2"]), iter(["sku-2"])],
                         ids=lambda history: type(history).__name__)
def test_any_sequence_of_ids_is_a_history(words, history):
    model = fitted(words)
    assert model.recommend(iter([history])).equals(model.recommend([["sku-2"]]))


def test_a_set_has_no_order_to_read(words):
    model = fitted(words, lambda n: vr.models.SVAE(n, 4, 4, (3,), 2))
    with pytest.raises(ValueError, match=r"histories\[0\] is a set, which has no order"):
        model.recommend([{"sku-2", "sku-9"}])


def test_nothing_known_warns_and_gets_popularity(words):
    model = fitted(words)
    with pytest.warns(UserWarning, match=r"2 of 3 histories hold no item .* is histories\[1\].* popular"):
        lists = model.recommend([["sku-2"], ["new"], []], k=4, on_unknown="skip")
    popular = fitted(words, vr.models.Popularity)
    with pytest.warns(UserWarning, match="1 of 1"):
        expected = popular.recommend([[]], k=4)["score"].tolist()
    for user in (1, 2):
        assert lists.loc[lists["user"] == user, "score"].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("k", [0, 2.5, "10", True, None, 10_000])
def test_a_length_that_no_list_can_have(words, k):
    with pytest.raises(ValueError, match=f"k={k!r}: the catalogue has {words.n_items} items"):
        fitted(words).recommend([["sku-2"]], k=k)


@pytest.mark.parametrize("history, message", [
    ([1.5], "list of dense items"), (["3"], "list of dense items"), (3, "list of dense items"),
    ([[1]], "list of dense items"), ([True], "list of dense items")])
def test_scores_take_dense_items_only(words, history, message):
    with pytest.raises(ValueError, match=message):
        fitted(words).scores([history])


class Silent(vr.models.TopNRecommender):
    """Writes nothing but the constructor."""


class Learns(Silent):
    def loss(self, bags, progress):
        raise AssertionError


class Wrong(Silent):
    def fit_closed_form(self, split):
        pass

    def score_batch(self, histories, users=None):
        return self.answer(len(histories))


@pytest.mark.parametrize("make, message", [
    (Silent, "Silent cannot be fitted: write loss.* or fit_closed_form"),
    (Learns, "Learns has no reset_parameters")])
def test_an_own_model_says_what_it_lacks(words, make, message):
    with pytest.raises(NotImplementedError, match=message):
        vr.fit(make(words.n_items), words)
    with pytest.raises(NotImplementedError, match="cannot score: write score_batch"):
        make(words.n_items).scores([[1]])


@pytest.mark.parametrize("answer, message", [
    (lambda n: torch.zeros(n, 3), r"returned \(1, 3\) of torch.float32: expected .* \(1, 25\)"),
    (lambda n: torch.zeros(n, 25, dtype=torch.int64), "returned .* of torch.int64: .* floating-point"),
    (lambda n: np.zeros((n, 25)), "returned ndarray"), (lambda n: None, "returned NoneType")])
def test_an_own_model_that_scores_otherwise(answer, message):
    model = Wrong(25)
    model.answer = answer
    with pytest.raises(ValueError, match=f"score_batch of Wrong {message}"):
        model.scores([[1]])


def test_an_empty_history_does_not_write_into_what_a_model_returned():
    model, table = Wrong(3), torch.arange(3.0)
    model.answer = lambda n: table.expand(n, 3)
    assert model.scores([[], [1]]).tolist() == [[0, 0, 0], [0, 1, 2]]
    assert table.tolist() == [0, 1, 2]


@pytest.mark.parametrize("make, message", [
    (lambda: vr.models.MVAE(9, hidden_dims=600), r"hidden_dims=600: .* hidden_dims=\[600\]"),
    (lambda: vr.models.SVAE(9, hidden_dims=150), r"hidden_dims=150: .* hidden_dims=\[150\]"),
    (lambda: vr.models.Autoencoder(9, hidden_dims="12"), "hidden_dims='12'"),
    (lambda: vr.models.MVAE(9, decoder_dims=[2.5]), r"decoder_dims=\(2.5,\): expected positive sizes"),
    (lambda: vr.models.MVAE(9, latent_dim=2.7), "latent_dim=2.7: expected a whole number"),
    (lambda: vr.models.SVAE(9, rnn_dim=None), "rnn_dim=None"),
    (lambda: vr.models.Popularity(9.5), "n_items=9.5"),
    (lambda: vr.models.Popularity("9"), "n_items='9'")])
def test_sizes_that_are_none(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_ease_says_how_much_memory_it_lacks(monkeypatch):
    monkeypatch.setattr(vr.models.ease, "total_memory", lambda: 16 * 10**9)
    monkeypatch.setattr(torch, "zeros", lambda *sizes: pytest.fail("allocated") if len(sizes) > 1 else None)
    with pytest.raises(ValueError, match="EASE of 100,000 items needs 40 GB .* has 16 GB: drop rare items"):
        vr.models.EASE(100_000)


def test_ease_asks_for_the_memory_of_a_fit_before_it_fits(words, monkeypatch):
    monkeypatch.setattr(vr.models.ease, "total_memory", lambda: 10_000)
    with pytest.raises(ValueError, match="GB while it is fitted"):  # 25 items: 2,500 bytes, then 20,000
        vr.fit(vr.models.EASE(words.n_items), words)
