"""ONNX files recommend what the models recommend, without PyTorch."""

import builtins
import json

import numpy as np
import onnx
import onnxruntime
import pytest

import vaerec as vr

K = 10


def padded(histories: list[np.ndarray]) -> np.ndarray:
    """Int64 [B, T], filled up with -1."""
    block = np.full((len(histories), max(map(len, histories))), -1)
    for row, history in zip(block, histories, strict=True):
        row[:len(history)] = history
    return block


def session(model, path, k=K) -> onnxruntime.InferenceSession:
    model.export(path, k)
    return onnxruntime.InferenceSession(path)


@pytest.fixture(scope="module")
def histories(world_split):
    chance = np.random.default_rng(0)
    lengths = (1, 2, 40, *chance.integers(3, 30, 20))
    return [chance.permutation(world_split.n_items)[:length] for length in lengths]


@pytest.fixture(scope="module")
def mvae(world_split):
    model = vr.models.MVAE(world_split.n_items, hidden_dims=(20, 15), latent_dim=5)
    vr.fit(model, world_split, max_epochs=3, batch_size=100)
    return model


@pytest.fixture(scope="module")
def svae(world_split):
    model = vr.models.SVAE(world_split.n_items, embedding_dim=12, rnn_dim=9, hidden_dims=(8,), latent_dim=4)
    vr.fit(model, world_split, max_epochs=1)
    return model


def expected(model, histories, split, k=K) -> tuple[np.ndarray, np.ndarray]:
    lists = model.recommend([split.item_ids[history] for history in histories], k, item_ids=split.item_ids)
    return (lists["item"].to_numpy().reshape(-1, k), lists["score"].to_numpy().reshape(-1, k))


def test_mvae_gives_the_same_lists(mvae, histories, world_split, tmp_path):
    items, scores = session(mvae, tmp_path / "mvae.onnx").run(None, {"history": padded(histories)})
    ours, their_scores = expected(mvae, histories, world_split)
    np.testing.assert_array_equal(world_split.item_ids[items], ours)
    np.testing.assert_allclose(scores, their_scores, rtol=1e-4, atol=1e-5)


def test_repeated_and_permuted_items_change_nothing(mvae, histories, tmp_path):
    serve, history = session(mvae, tmp_path / "mvae.onnx"), histories[5]
    once = serve.run(None, {"history": history[None]})
    again = np.array([[-1, *np.repeat(history[::-1], 3), -1, *history]])
    for ours, theirs in zip(serve.run(None, {"history": again}), once, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:1 of 2 histories hold no item")
def test_an_empty_history_gets_popularity(mvae, world_split, tmp_path):
    histories = [np.array([3]), np.empty(0, np.int64)]
    _, scores = session(mvae, tmp_path / "mvae.onnx").run(None, {"history": padded(histories)})
    np.testing.assert_allclose(scores[1], expected(mvae, histories, world_split)[1][1], rtol=1e-6)


def test_weights_that_do_not_fit_into_one_file_lie_beside_it(mvae, histories, tmp_path, monkeypatch):
    history = {"history": padded(histories)}
    whole = session(mvae, tmp_path / "mvae.onnx").run(None, history)
    assert not (tmp_path / "mvae.onnx.data").exists()
    monkeypatch.setattr(vr.models.exporting, "LARGEST", 1000)
    for _ in range(2):  # the second time over the first
        parts = session(mvae, tmp_path / "large.onnx").run(None, history)
        np.testing.assert_array_equal(parts[0], whole[0])
    size = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert size["large.onnx.data"] > 30_000  # and not twice that: the first file's weights are gone
    assert size["large.onnx"] + size["large.onnx.data"] == pytest.approx(size["mvae.onnx"], rel=0.05)


def test_an_export_that_fails_leaves_what_was_there(mvae, tmp_path, monkeypatch):
    monkeypatch.setattr(vr.models.exporting, "LARGEST", 1000)
    mvae.export(tmp_path / "mvae.onnx", K)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr(onnx, "save", full)
    with pytest.raises(OSError, match="disk full"):
        mvae.export(tmp_path / "mvae.onnx", K)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_who_has_seen_nearly_everything_gets_minus_infinity(mvae, tmp_path):
    history = np.arange(mvae.n_items - 3)[None]
    items, scores = session(mvae, tmp_path / "mvae.onnx").run(None, {"history": history})
    assert set(items[0, :3]) == set(range(mvae.n_items - 3, mvae.n_items))
    assert np.isfinite(scores[0, :3]).all() and np.isneginf(scores[0, 3:]).all()


def test_svae_step_by_step_gives_the_lists_of_the_whole_history(svae, histories, world_split, tmp_path):
    server = session(svae, tmp_path / "svae.onnx")
    for history in histories[:8]:
        state = np.zeros((1, svae.rnn_dim), np.float32)
        for step, item in enumerate(history, 1):
            items, scores, state = server.run(
                None, {"item": np.array([item]), "state": state, "history": history[None, :step]})
        ours, their_scores = expected(svae, [history], world_split)
        np.testing.assert_array_equal(world_split.item_ids[items], ours)
        np.testing.assert_allclose(scores, their_scores, rtol=1e-3, atol=1e-4)


def test_the_file_says_what_it_is(mvae, tmp_path):
    described = session(mvae, tmp_path / "mvae.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(described.pop("item_ids")) == mvae.item_ids.tolist()
    assert described == {"model": "MVAE", "n_items": str(mvae.n_items), "catalogue": mvae.catalogue}
    assert [path.name for path in tmp_path.iterdir()] == ["mvae.onnx"]


def test_the_model_is_as_before(mvae, histories, tmp_path):
    before = mvae.scores(histories)
    mvae.export(tmp_path / "mvae.onnx")
    assert mvae.scores(histories).equal(before)


@pytest.mark.parametrize("k", [0, 10_000])
def test_a_wrong_k(mvae, k, tmp_path):
    with pytest.raises(ValueError, match=f"k={k}: the catalogue has"):
        mvae.export(tmp_path / "mvae.onnx", k)


def test_an_lstm_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cell='lstm': only a GRU"):
        vr.models.SVAE(20, cell="lstm").export(tmp_path / "svae.onnx")


def test_missing_packages_are_named(mvae, tmp_path, monkeypatch):
    real = builtins.__import__

    def without_onnx(name, *args, **kwargs):
        if name == "onnx":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(ImportError, match="pip install 'onnx>=1.18' 'onnxscript>=0.5'"):
        mvae.export(tmp_path / "mvae.onnx")
