"""The offline pack, unpacked in an empty folder and used without a network."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
import run

from tests.notebooks.test_ranges import check

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

USE = """
import hashlib, json, sys, vaerec as vr
from pathlib import Path
assert vr.__file__.startswith(sys.argv[1]), vr.__file__
sums = dict(reversed(line.split("  ")) for line in Path("SHA256SUMS").read_text().splitlines())
for name, told in json.load(open("checkpoints/scores.json")).items():
    file = f"checkpoints/{name}.safetensors"
    assert hashlib.sha256(Path(file).read_bytes()).hexdigest() == sums[file]
    split = getattr(vr.protocols, told["protocol"])(vr.load("synthetic"), n_heldout=told["n_heldout"])
    model = getattr(vr.models, name).load(file)
    popularity = vr.models.Popularity(split.n_items)
    vr.fit(popularity, split)
    ours, plain = (vr.evaluate(m, split.test, ks=(100,))["ndcg@100"] for m in (model, popularity))
    print(json.dumps([name, ours, told["ndcg@100"], plain]))
"""


@pytest.fixture(scope="module")
def pack(site, tmp_path_factory) -> Path:
    """The zip, made from the built book and unpacked somewhere else."""
    spec = importlib.util.spec_from_file_location("make_pack", ROOT / "book" / "make_pack.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    archive = script.make_pack(tmp_path_factory.mktemp("made") / "pack", site)
    folder = tmp_path_factory.mktemp("an empty folder")
    zipfile.ZipFile(archive).extractall(folder)
    return folder / "pack"


def offline(command: list[str], folder: Path, **environment: str) -> str:
    """Run without a network: in a network namespace of its own, or with proxies to nowhere."""
    # Jupyter talks to its kernel over the loopback, which a new namespace has switched off.
    alone = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    works = shutil.which("unshare") and subprocess.run([*alone, "true"], capture_output=True).returncode == 0
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    nowhere = dict.fromkeys(proxies, "http://127.0.0.1:9") | {"HOME": str(folder.parent), "VAEREC_DATA": ""}
    done = subprocess.run([*(alone if works else []), *command], cwd=folder, capture_output=True, text=True,
                          env=os.environ | nowhere | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(pack, tmp_path_factory) -> str:
    """A folder that holds nothing but the package, from the pack's wheel."""
    folder = str(tmp_path_factory.mktemp("installed"))
    (wheel,) = pack.glob("wheels/vaerec-*.whl")
    command = ["-m", "pip", "install", "--no-index", "--no-deps", "--target", folder, str(wheel)]
    offline([sys.executable, *command], pack)
    return folder


def test_the_checkpoints_keep_their_promise_without_a_network(pack, installed):
    told = offline([sys.executable, "-c", USE, installed], pack, PYTHONPATH=installed)
    results = [json.loads(line) for line in told.splitlines()]
    assert [name for name, *_ in results] == ["MVAE", "SVAE"]
    for name, ours, said, popularity in results:
        assert ours == pytest.approx(said, abs=1e-3), name
        assert ours > 1.1 * popularity, name
    readme = (pack / "README.md").read_text()
    example = re.search(r"```python\n(import vaerec.*?)```", readme, re.DOTALL)[1]
    assert "ndcg@100" in offline([sys.executable, "-c", example], pack, PYTHONPATH=installed)


def test_what_kaggle_may_lack_is_in_it_for_any_machine(pack):
    names = {path.name.partition("-")[0].replace("_", "-") for path in pack.glob("wheels/*-none-any.whl")}
    assert names == {"vaerec", "lightning", "lightning-utilities", "pytorch-lightning", "torchmetrics",
                     "pooch", "platformdirs", "threadpoolctl"}
    assert len(list(pack.glob("wheels/*"))) == len(names)


@pytest.mark.parametrize("stem", ["00-tour", "07-svae", "08-beyond-accuracy"])
def test_a_chapter_runs_without_a_network(pack, installed, tmp_path, stem):
    executed, models = tmp_path / "executed.ipynb", set((pack / "checkpoints").iterdir())
    parameters = json.dumps(run.chapters()[stem]["quick"])  # JSON is YAML
    command = ["-m", "papermill", f"{stem}.ipynb", str(executed), "--kernel", "python3", "-y", parameters]
    offline([sys.executable, *command], pack / "notebooks", PYTHONPATH=installed, HOME=str(tmp_path),
            JUPYTER_PREFER_ENV_PATH="1", VAEREC_MODELS=str(pack / "checkpoints"))
    assert set((pack / "checkpoints").iterdir()) == models  # all were there, none was trained
    check(run.recorded(nbformat.read(executed, as_version=4)), stem, "quick")


def test_every_file_is_in_the_list_of_sums(pack):
    lines = (line.split("  ", 1) for line in (pack / "SHA256SUMS").read_text().splitlines())
    sums = {name: digest for digest, name in lines}
    files = {str(path.relative_to(pack)) for path in pack.rglob("*") if path.is_file()}
    assert files - sums.keys() == {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((pack / name).read_bytes()).hexdigest() == digest, name


def test_it_holds_the_book_and_the_notebooks(pack):
    assert (pack / "html" / "index.html").is_file()
    assert {path.name for path in (pack / "notebooks").iterdir()} == {
        path.name for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_no_movielens_data_is_in_it(pack):
    row = re.compile(rb"^\d+(::|\t|,)\d+\1[0-5](\.[05])?\1\d{9}\s*$", re.MULTILINE)
    # its files' own names, and its films with ids as they stand in them
    film = re.compile(rb"^\d+(::|,|\|)Toy Story \(1995\)", re.MULTILINE)
    name = re.compile(r"ml-.*|(ratings|movies|users)\..*|u\.(data|item|user)|.*\.parquet")
    for path in filter(Path.is_file, pack.rglob("*")):
        assert not name.fullmatch(path.name), path
        assert not row.search(path.read_bytes()), path
        assert not film.search(path.read_bytes()), path
