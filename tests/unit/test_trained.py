"""Models that were trained before are loaded; whatever decides the weights makes another name."""

import pandas as pd
import pytest
import torch

import vaerec as vr
from vaerec import identity, trained

OPTIONS = {"max_epochs": 2, "batch_size": 50}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VAEREC_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def counted(monkeypatch):
    """How often `fit` is called."""
    calls = []

    def fit(*arguments, **options):
        calls.append(arguments)
        return vr.fit(*arguments, **options)

    monkeypatch.setattr(trained, "fit", fit)
    return calls


def small(split, width=16):
    return vr.models.MVAE(split.n_items, hidden_dims=(width,), latent_dim=4)


def test_the_second_call_loads_what_the_first_trained(world_split, folder, counted):
    first, second = small(world_split), small(world_split)
    histories = [vr.load_or_fit(model, world_split, **OPTIONS) for model in (first, second)]
    assert len(counted) == 1
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    for ours, theirs in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert second.catalogue == world_split.catalogue
    assert vr.evaluate(second, world_split.test)["ndcg@10"] == vr.evaluate(first, world_split.test)["ndcg@10"]


def test_it_is_what_fit_gives(world_split, folder):
    ours, theirs = small(world_split), small(world_split)
    history = vr.load_or_fit(ours, world_split, **OPTIONS)
    pd.testing.assert_frame_equal(history.drop(columns="seconds"),
                                  vr.fit(theirs, world_split, **OPTIONS).drop(columns="seconds"))


@pytest.mark.parametrize("change", ["model", "option", "split"])
def test_another_run_is_trained(world, world_split, folder, counted, change):
    vr.load_or_fit(small(world_split), world_split, **OPTIONS)
    split = vr.protocols.LIANG_2018(world, n_heldout=59) if change == "split" else world_split
    model = small(split, width=17 if change == "model" else 16)
    vr.load_or_fit(model, split, **OPTIONS | ({"seed": 1} if change == "option" else {}))
    assert len(counted) == 2


def test_other_code_is_another_run(world_split, monkeypatch):
    before = trained._key(small(world_split), world_split, {})
    assert trained._key(small(world_split), world_split, {}) == before
    monkeypatch.setattr(identity, "package_code", lambda *modules: "other")
    assert trained._key(small(world_split), world_split, {}) != before


def test_what_no_file_can_hold_is_trained_and_not_kept(world_split, folder):
    model = vr.models.MVAE(world_split.n_items, (16,), 4, beta=lambda progress: 0.1)
    with pytest.warns(UserWarning, match="not kept .*cannot be saved"):
        assert len(vr.load_or_fit(model, world_split, **OPTIONS)) == 2
    assert not list(folder.glob("*.csv"))


def test_what_is_loaded_knows_its_items(world_split, folder):
    for _ in range(2):
        model = small(world_split)
        vr.load_or_fit(model, world_split, **OPTIONS)
        assert len(model.recommend([world_split.item_ids[:3]], k=5)) == 5


@pytest.mark.parametrize("ending", ["safetensors", "csv"])
def test_a_damaged_file_is_replaced_by_training(world_split, folder, counted, ending):
    vr.load_or_fit(small(world_split), world_split, **OPTIONS)
    (file,) = folder.glob(f"*.{ending}")
    file.write_bytes(file.read_bytes()[:20] if ending == "safetensors" else b"")
    with pytest.warns(UserWarning, match="trained again"):
        vr.load_or_fit(small(world_split), world_split, **OPTIONS)
    vr.load_or_fit(small(world_split), world_split, **OPTIONS)
    assert len(counted) == 2


def test_a_pack_is_looked_through(world_split, folder, counted, tmp_path, monkeypatch):
    vr.load_or_fit(small(world_split), world_split, **OPTIONS)
    folder.rename(tmp_path / "checkpoints")
    monkeypatch.setattr(trained, "PACKS", tmp_path)
    vr.load_or_fit(small(world_split), world_split, **OPTIONS)
    assert len(counted) == 1 and not folder.exists()


def test_an_empty_variable_trains_always(world_split, counted, monkeypatch):
    monkeypatch.setenv("VAEREC_MODELS", "")
    for _ in range(2):
        vr.load_or_fit(small(world_split), world_split, **OPTIONS)
    assert len(counted) == 2


def test_a_folder_that_cannot_be_written_loses_nothing(world_split, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAEREC_MODELS", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="not kept"):
        history = vr.load_or_fit(small(world_split), world_split, **OPTIONS)
    assert len(history) == 2


def test_closed_forms_are_fitted_and_leave_nothing(world_split, folder):
    vr.load_or_fit(vr.models.EASE(world_split.n_items), world_split)
    assert not folder.exists()


def test_arguments_that_belong_to_one_run(world_split, folder):
    with pytest.raises(ValueError, match="cannot take .'resume'."):
        vr.load_or_fit(small(world_split), world_split, resume="runs")
