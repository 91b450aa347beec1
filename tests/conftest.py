"""What kind a test is, and logs that several tests share."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaerec as vr

KINDS = ("unit", "process", "notebooks", "book")
# What a test of the folder book asks for if it looks at built pages.
COSTLY = {"site", "program"}


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items):
    """Mark each test with its kind, see the markers in pyproject.toml."""
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        if not any(map(item.get_closest_marker, KINDS)):
            costly = folder == "process" or COSTLY & set(item.fixturenames)
            item.add_marker(folder if costly else "unit")


@pytest.fixture(scope="session", autouse=True)
def nothing_of_the_reader(tmp_path_factory):
    """No test reads or writes the progress and the models of whoever runs it; two workers meet in neither."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEREC_PROGRESS", str(tmp_path_factory.mktemp("progress") / "progress.json"))
        patch.setenv("VAEREC_MODELS", "")
        yield


def _movielens(name: str) -> vr.Interactions:
    folder = os.environ.get("VAEREC_DATA")
    if not folder or not any((Path(folder) / file).exists() for file in (name, f"{name}.zip")):
        pytest.skip(f"needs {name}: set VAEREC_DATA to the folder that holds {name}/ or {name}.zip")
    return vr.load(name)


@pytest.fixture(scope="session")
def ml_1m() -> vr.Interactions:
    return _movielens("ml-1m")


@pytest.fixture(scope="session")
def ml_100k() -> vr.Interactions:
    return _movielens("ml-100k")


@pytest.fixture(scope="session")
def world() -> vr.Interactions:
    """The synthetic world, small."""
    return vr.load("synthetic", n_users=400, n_items=200)


@pytest.fixture(scope="session")
def world_split(world) -> vr.protocols.Split:
    return vr.protocols.LIANG_2018(world, n_heldout=60)


def random_log(seed: int, n_users: int = 30, n_items: int = 25, share: float = 0.4) -> vr.Interactions:
    """A log without structure: each pair is there with probability ``share``; rows shuffled."""
    generator = np.random.default_rng(seed)
    user, item = np.nonzero(generator.random((n_users, n_items)) < share)
    frame = pd.DataFrame({
        "user": user * 3 + 1, "item": item * 7 + 2,
        "rating": generator.integers(1, 6, len(user)).astype(float),
        "timestamp": generator.integers(0, 20, len(user)),  # many ties
    })
    return vr.Interactions.from_frame(frame.sample(frac=1, random_state=seed))
