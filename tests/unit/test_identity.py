"""What decides the numbers of a training run is noticed; what does not keeps what was trained."""

import dataclasses
import functools
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import vaerec as vr
from vaerec import sources
from vaerec.identity import Unidentified, identity
from vaerec.sources import modules_behind, package_code

LOSS = """
def factor():
    return {factor}

class Mine(Base):
    '''{doc}'''

    scale = {scale}

    def loss(self, bags, progress):
        loss, parts = super().loss(bags, progress)  # {doc}
        return loss * factor() * self.scale * sum(x for x in {numbers}), parts
"""


def made(source: str = LOSS, base: type = vr.models.MVAE, **values) -> type:
    """The class ``Mine`` of a source text, as in a notebook's cell."""
    names = {"Base": base, "vr": vr, "torch": torch, "nn": nn, "np": np}
    defaults = {"factor": 1, "scale": 1, "doc": "", "numbers": "(1,)"}
    exec(textwrap.dedent(source).format(**defaults | values), names)
    return names["Mine"]


def code(make, split, *arguments, **options) -> str:
    return identity(make(split.n_items, (8,), 3, *arguments, **options), split)["code"]


@pytest.mark.parametrize("change", [{"factor": 1000}, {"scale": 2}, {"numbers": "(2,)"},
                                    {"numbers": '("a",)'}])
def test_another_loss_is_another_model_wherever_the_change_stands(world_split, change):
    assert code(made(), world_split) != code(made(**change), world_split)


def test_comments_and_docstrings_change_nothing(world_split):
    assert code(made(), world_split) == code(made(doc="Another text."), world_split)


def test_a_changed_loss_is_trained_and_never_resumed(world_split, tmp_path, monkeypatch):
    monkeypatch.setenv("VAEREC_MODELS", str(tmp_path / "models"))
    losses = []
    for factor in (1, 1000, 1):
        model = made(factor=factor)(world_split.n_items, (8,), 3)
        losses.append(vr.load_or_fit(model, world_split, max_epochs=1)["loss"].iloc[0])
    assert losses[1] == pytest.approx(1000 * losses[0]) and losses[2] == losses[0]
    assert len(list((tmp_path / "models").glob("*.csv"))) == 2
    options = {"max_epochs": 1, "resume": tmp_path / "run"}
    vr.fit(made()(world_split.n_items, (8,), 3), world_split, **options)
    with pytest.raises(ValueError, match="the code of Mine, of what it calls or uses.* has changed"):
        vr.fit(made(factor=2)(world_split.n_items, (8,), 3), world_split, **options)
    vr.fit(made(doc="x")(world_split.n_items, (8,), 3), world_split, **options)


ARGUMENT = """
class Mine(Base):
    def __init__(self, *args, floor={floor}, **kwargs):
        super().__init__(*args, **kwargs)
        self.room = nn.Dropout(floor)
"""


def test_an_argument_of_a_subclass_needs_no_further_word(world_split, tmp_path):
    Mine = made(ARGUMENT, floor=0.1)
    model = Mine(world_split.n_items, [8], latent_dim=3, floor=0.2)
    assert model.hyper_parameters() == {"n_items": world_split.n_items, "hidden_dims": [8], "latent_dim": 3,
                                        "floor": 0.2}
    model.save(tmp_path / "m")
    again = Mine.load(tmp_path / "m")
    assert again.room.p == 0.2 and again.hyper_parameters() == model.hyper_parameters()
    assert code(Mine, world_split, floor=0.2) != code(Mine, world_split) == code(Mine, world_split, floor=0.1)
    assert code(Mine, world_split) != code(made(ARGUMENT, floor=0.3), world_split)


def test_attributes_that_were_changed_after_the_constructor_count(world_split):
    model = vr.models.MVAE(world_split.n_items, (8,), 3)
    before = identity(model, world_split)
    model.beta = vr.elbo.Constant(0.7)
    assert model.hyper_parameters()["beta"] == {"name": "Constant", "beta": 0.7}
    assert identity(model, world_split)["hyper_parameters"] != before["hyper_parameters"]
    model.beta = vr.elbo.LinearToCap(0.2)
    assert identity(model, world_split) == before
    model.encoder.append(nn.ReLU())
    assert identity(model, world_split)["code"] != before["code"]


def scaled(loss, by):
    return loss * by


def closing_over(value):
    class Mine(vr.models.MVAE):
        def loss(self, bags, progress):
            loss, parts = super().loss(bags, progress)
            return value(loss) if callable(value) else loss * float(np.sum(value)), parts

    return Mine


@pytest.mark.parametrize("one, other", [
    (functools.partial(scaled, by=2), functools.partial(scaled, by=3)), (2.0, 3.0), ([1, 2], [1, 3]),
    (lambda loss: loss * 2, lambda loss: loss * 3), (np.arange(3), np.arange(3) + 1),
    (torch.zeros(2), torch.ones(2)), (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [2.0]})),
    (vr.elbo.Constant(0.1), vr.elbo.Constant(0.2)), (vr.elbo.Constant(0.1), vr.elbo.LinearToCap(0.1)),
    (np.float32(1), np.float64(1)), (functools.partial(scaled, by=2).func, functools.lru_cache(scaled))],
    ids=lambda value: type(value).__name__)
def test_what_a_method_closes_over_counts(one, other, world_split):
    assert code(closing_over(one), world_split) == code(closing_over(one), world_split)
    assert code(closing_over(one), world_split) != code(closing_over(other), world_split)


def test_frozen_weights_and_buffers_count_and_drawn_ones_do_not(world_split):
    codes = []
    for value in (0.0, 1.0):
        model = vr.models.MVAE(world_split.n_items, (8,), 3)
        codes.append(identity(model, world_split)["code"])  # drawn anew each time
        model.register_buffer("prior", torch.full((3,), value))
        codes.append(identity(model, world_split)["code"])
        model.first.weight.data.fill_(value)
        model.first.weight.requires_grad_(False)
        codes.append(identity(model, world_split)["code"])
    assert codes[0] == codes[3] and len(set(codes)) == 5


def test_what_cannot_be_told_apart_is_trained_and_not_kept(world_split, tmp_path, monkeypatch):
    monkeypatch.setenv("VAEREC_MODELS", str(tmp_path / "models"))
    Mine = closing_over(1.0)
    model = Mine(world_split.n_items, (8,), 3)
    model.lock = threading.Lock()
    with pytest.raises(Unidentified, match="_thread.lock takes part in training"):
        identity(model, world_split)
    with pytest.warns(UserWarning, match="trained and not kept: a _thread.lock"):
        vr.load_or_fit(model, world_split, max_epochs=1)
    with pytest.raises(ValueError, match="cannot be told from another one"):
        vr.fit(model, world_split, max_epochs=1, resume=tmp_path / "run")
    assert not (tmp_path / "models").exists() and not (tmp_path / "run").exists()


def test_a_beta_that_no_file_holds_is_told_from_another(world_split, tmp_path):
    def train(beta):
        model = vr.models.MVAE(world_split.n_items, (8,), 3, beta=beta)
        return vr.fit(model, world_split, max_epochs=1, resume=tmp_path)["beta"].iloc[0]

    assert train(lambda progress: 0.25) == train(lambda progress: 0.25) == 0.25
    with pytest.raises(ValueError, match="the code of MVAE"):
        train(lambda progress: 0.5)


def test_other_questions_of_validation_are_another_run(world, world_split):
    model = vr.models.MVAE(world_split.n_items, (8,), 3)
    other = dataclasses.replace(world_split, validation=world_split.test)
    ours, theirs = (identity(model, split) for split in (world_split, other))
    assert {name for name in ours if ours[name] != theirs[name]} == {"validation"}


TELL = """
import vaerec as vr
assert vr.__file__.startswith({folder!r}), vr.__file__
from vaerec.identity import identity
log = vr.load("synthetic", n_users=150, n_items=40)
split = vr.protocols.LIANG_2018(log, n_heldout=20)
class Mine(vr.models.SVAE):
    words = frozenset(["a", "b", "c", "d"])
    def loss(self, bags, progress):
        return super().loss(bags, progress)[0] if progress in {{"e", "f", "g"}} else None
print([identity(make(split.n_items), split) for make in (vr.models.MVAE, Mine)])
"""


def test_a_copy_of_the_package_elsewhere_gives_the_same_names(tmp_path):
    """As the offline pack needs it, whose models are loaded by an installed wheel."""
    shutil.copytree(sources.ROOT, tmp_path / "vaerec", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "vaerec" / "models" / "mvae.py"
    text = path.read_text().replace("# [B, L]", "# of B users").split('"""', 2)[2]
    path.write_text('"""Other words."""\n' + text)
    told = set()
    for folder, seed in ((sources.ROOT.parent, "1"), (tmp_path, "2")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(folder)}
        done = subprocess.run([sys.executable, "-c", TELL.format(folder=str(folder))], check=True, cwd=folder,
                              capture_output=True, text=True, env=environment)
        told.add(done.stdout)
    assert len(told) == 1


def test_only_modules_that_decide_numbers_count():
    behind = modules_behind("training", "models.mvae")
    assert {"training", "models.mvae", "models.base", "models.layers", "likelihoods", "elbo", "batches",
            "evaluation", "interactions", "shards.batches", "shards.storage"} <= set(behind)
    of_others = {"models.svae", "plotting", "models.exporting", "protocols", "datasets.logs.loading"}
    assert not of_others & set(behind)
    assert "kernels.gru" in modules_behind("training", "models.svae")
    with pytest.raises(ValueError, match="vaerec has no module 'models.mvea'"):
        package_code("models.mvea")


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Path:
    shutil.copytree(sources.ROOT, tmp_path / "vaerec", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "ROOT", tmp_path / "vaerec")
    return tmp_path / "vaerec"


@pytest.mark.parametrize("module, before, after, same", [
    ("models/mvae.py", "beta * rate", "2 * beta * rate", False), ("elbo.py", "0.5 *", "0.25 *", False),
    ("models/mvae.py", "\n        mu, logvar", "\n        # other\n        mu, logvar", True),
    ("likelihoods.py", '"""', '"""Another sentence. ', True),
    ("metrics.py", "gain[:, k - 1]", "gain[:, k - 2]", False),
    ("plotting.py", "import", "import sys\nimport", True), ("models/svae.py", "targets", "aims", True)])
def test_a_change_of_the_package_counts_where_it_decides_numbers(copy, module, before, after, same):
    code, path = package_code("training", "models.mvae"), copy / module
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    assert (package_code("training", "models.mvae") == code) is same
