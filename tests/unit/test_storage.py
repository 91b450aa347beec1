"""Saving and loading: equal scores after, and files that are not what they seem."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors.torch
import torch

import vaerec as vr
from vaerec.models import storage
from vaerec.schedules import Constant, LinearToCap


@pytest.fixture(scope="module")
def trained(world_split):
    model = vr.models.MVAE(world_split.n_items, hidden_dims=(12, 9), decoder_dims=(7,), latent_dim=4,
                           beta=LinearToCap(0.3, 0.8))
    vr.fit(model, world_split, max_epochs=2, batch_size=100)
    return model


def test_a_loaded_mvae_scores_as_before_and_can_be_trained_alike(trained, world_split, tmp_path):
    trained.save(tmp_path / "mvae.safetensors")
    loaded = vr.models.MVAE.load(tmp_path / "mvae.safetensors")
    histories = [*world_split.test.fold_in[:5], np.empty(0, np.int64)]
    assert torch.equal(loaded.scores(histories), trained.scores(histories))
    assert loaded.hyper_parameters() == trained.hyper_parameters()
    assert loaded.beta == LinearToCap(0.3, 0.8)


@pytest.mark.parametrize("make", [
    lambda n: vr.models.EASE(n, l2=20, recency=0.9), vr.models.Popularity,
    lambda n: vr.models.Random(n, seed=4),
    lambda n: vr.models.MVAE(n, hidden_dims=(5,), latent_dim=2, beta=Constant(0.1))])
def test_every_model_survives(make, world_split, tmp_path):
    model = make(world_split.n_items)
    vr.fit(model, world_split, max_epochs=1)
    model.save(tmp_path / "model")
    again = type(model).load(tmp_path / "model")
    histories = world_split.test.fold_in[:3]
    assert torch.equal(again.scores(histories), model.scores(histories))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model file .*nothing\.safetensors"):
        vr.models.MVAE.load(tmp_path / "nothing.safetensors")


def test_another_model(trained, tmp_path):
    trained.save(tmp_path / "m")
    with pytest.raises(ValueError, match=r"holds MVAE, not EASE.*vr\.models\.MVAE\.load"):
        vr.models.EASE.load(tmp_path / "m")


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.999])
def test_a_truncated_file(trained, tmp_path, share):
    path = tmp_path / "m"
    trained.save(path)
    content = path.read_bytes()
    path.write_bytes(content[:int(share * len(content))])
    with pytest.raises(ValueError, match="not a safetensors file, or it is truncated"):
        vr.models.MVAE.load(path)


def test_a_flipped_bit_anywhere_is_noticed(trained, tmp_path):
    path = tmp_path / "m"
    trained.save(path)
    content = path.read_bytes()
    for place in [*range(0, 900, 7), *range(900, len(content), 2111)]:
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=str(path)):
            vr.models.MVAE.load(path)


def test_what_cannot_be_saved_says_so(world, world_split, tmp_path):
    with pytest.raises(ValueError, match="Oracle cannot be saved"):
        vr.models.Oracle(world).save(tmp_path / "m")
    model = vr.models.MVAE(world_split.n_items, beta=lambda progress: progress)
    with pytest.raises(ValueError, match="only Constant, LinearToCap, Cyclical can"):
        model.save(tmp_path / "m")


@pytest.mark.parametrize("place", ["header", "weights"])
def test_a_changed_byte(trained, tmp_path, place):
    path = tmp_path / "m"
    trained.save(path)
    content = bytearray(path.read_bytes())
    if place == "weights":
        content[-5] ^= 0x40
    else:
        at = content.index(b'\\"dropout\\": 0.5') + len('\\"dropout\\": 0.')
        content[at:at + 1] = b"4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="changed after it was written"):
        vr.models.MVAE.load(path)


def test_a_safetensors_file_of_someone_else(tmp_path):
    safetensors.torch.save_file({"w": torch.zeros(2)}, tmp_path / "m", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="not written by vaerec's save"):
        vr.models.MVAE.load(tmp_path / "m")


def test_a_pickle_is_not_run(tmp_path):
    torch.save({"weights": torch.zeros(2)}, tmp_path / "m")
    with pytest.raises(ValueError, match="not a safetensors file"):
        vr.models.MVAE.load(tmp_path / "m")


def test_a_failing_write_leaves_the_old_file(trained, tmp_path, monkeypatch):
    path = tmp_path / "m"
    trained.save(path)
    before = path.read_bytes()

    def cut(tensors, target, metadata):
        target.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", cut)
    with pytest.raises(OSError, match="no space"):
        trained.save(path)
    assert path.read_bytes() == before


def test_hyper_parameters_are_json(trained):
    assert json.loads(json.dumps(trained.hyper_parameters())) == trained.hyper_parameters()


def test_a_file_whose_weights_have_other_names_is_refused(tmp_path):
    """As after a release that renames a layer: loading nothing at all would pass unseen."""
    model = vr.models.MVAE(6, hidden_dims=(3,), latent_dim=2)
    weights = {name.replace("first", "initial"): tensor for name, tensor in model.state_dict().items()}
    storage.write(tmp_path / "m", "MVAE", model.hyper_parameters(), weights)
    with pytest.raises(ValueError, match="another version of vaerec"):
        vr.models.MVAE.load(tmp_path / "m")


def test_a_loaded_model_refuses_another_catalogue(trained, world, world_split, tmp_path):
    """As many items, so that only the raw ids tell the two apart."""
    trained.save(tmp_path / "m")
    loaded = vr.models.MVAE.load(tmp_path / "m")
    assert loaded.catalogue == world_split.catalogue
    item_ids = world_split.item_ids
    assert len(loaded.recommend([item_ids[:3]], k=5, item_ids=item_ids)) == 5
    for other in (item_ids[::-1], item_ids + 1, item_ids.astype(str)):
        with pytest.raises(ValueError, match="MVAE was fitted on another catalogue .*fit a new model"):
            loaded.recommend([other[:3]], k=5, item_ids=other)
    items = world.items.assign(item=world.items["item"] + 1)
    renamed = vr.protocols.LIANG_2018(dataclasses.replace(world, items=items), n_heldout=60)
    assert renamed.n_items == world_split.n_items
    with pytest.raises(ValueError, match="another catalogue"):
        vr.evaluate(loaded, renamed.test)
    vr.fit(loaded, renamed, max_epochs=1)  # a new fit, a new catalogue
    assert vr.evaluate(loaded, renamed.test)["ndcg@10"] > 0


def test_a_model_that_was_never_fitted_knows_no_catalogue(world_split, tmp_path):
    model = vr.models.Random(world_split.n_items)
    model.save(tmp_path / "m")
    assert vr.models.Random.load(tmp_path / "m").catalogue is None
    vr.evaluate(model, world_split.test)
