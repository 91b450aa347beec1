"""Make the offline pack: all that a room without internet needs. `make pack` calls this.

    python book/make_pack.py _build/pack _build/html

It leaves the folder and, beside it, a zip of the same name. The data of the pack's checkpoints is made
from a seed by the package, so no data file is in it, and nothing of MovieLens.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import yaml

import vaerec as vr

ROOT = Path(__file__).resolve().parents[1]
# What the package needs and sites such as Kaggle may lack: wheels for any machine, at the lock's versions.
OFTEN_MISSING = ("lightning", "lightning-utilities", "pytorch-lightning", "torchmetrics", "pooch",
                 "platformdirs", "threadpoolctl")
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT", "vaerec")
COMPARING = ("06-mvae", "07-svae", "08-beyond-accuracy", "09-a-detective-story", "A1-how-tight-is-the-bound")
README = """# Offline pack of "Variational autoencoders for recommendation", vaerec {version}

Nothing here needs a network. Check that the copy is whole: `sha256sum --check SHA256SUMS`
(on macOS: `shasum -a 256 --check SHA256SUMS`).

## Read

Open `html/index.html` in a browser. Maths, search and the pages with sliders work offline. The whole book as
a PDF is `html/downloads/vaerec.pdf`, the slides are in `html/slides`, where they were built.

## Install

You need Python 3.11 or newer with these packages: {dependencies}.
The folder `wheels` has the smaller ones; only what is missing or too old is taken from it.

```bash
pip install --no-index --find-links wheels vaerec
```

Then open the notebooks in `notebooks` with JupyterLab, and write `profile = "quick"` in the cell with the
parameters: that profile makes its data from a seed. The profile `full` asks for MovieLens-1M, which we may
not pass on.

## Use the checkpoints

`checkpoints` holds models trained on the synthetic data with the settings of the profile `quick`;
`scores.json` says what two of them reach. On Kaggle, chapters 6 to 9 and A1 find theirs by themselves;
elsewhere name the folder in the environment variable `VAEREC_MODELS`.

```python
import vaerec as vr

split = vr.protocols.SACHDEVA_2019(vr.load("synthetic"), n_heldout=300)
model = vr.models.SVAE.load("checkpoints/SVAE.safetensors")
print(vr.evaluate(model, split.test, ks=(100,)).summary())
```

## On Kaggle

Upload the zip as a new dataset; Kaggle unpacks it. Attach it to a notebook as an input, with "Internet" off.
The first cell of each chapter finds the pack by itself and installs from it. The checkpoints lie in
`/kaggle/input/NAME/pack/checkpoints`, where `NAME` is the name that you gave the dataset.

## Licences

`LICENSE` (MIT) is that of the code and the checkpoints, `LICENSE-TEXT` (CC BY 4.0) that of text and figures.
"""


def build_wheel(target: Path) -> None:
    """Build the package's wheel from a copy: setuptools leaves folders beside the sources."""
    with tempfile.TemporaryDirectory() as copy:
        for name in SOURCES:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, Path(copy, name), ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, copy)
        subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index",
                        "--no-build-isolation", "--wheel-dir", str(target), copy], check=True)


def download_wheels(target: Path) -> None:
    """Put the wheels of `OFTEN_MISSING` beside the package's."""
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pins = [pin for pin in re.findall(r"^[\w.-]+==[^\s;]+", lock, re.MULTILINE)
            if pin.partition("==")[0] in OFTEN_MISSING]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
                    "--dest", str(target), *pins], check=True)


def train(target: Path) -> None:
    """Train MVAE and SVAE as chapters 6 and 7 do in their profile ``quick``; save weights and scores."""
    settings = yaml.safe_load((ROOT / "notebooks" / "profiles.yaml").read_text(encoding="utf-8"))
    mvae, svae = (settings[stem]["quick"] for stem in ("06-mvae", "07-svae"))
    recipes = {
        "MVAE": (vr.protocols.LIANG_2018, mvae, ("hidden_dims", "latent_dim"),
                 {"batch_size": mvae["batch_size"]}),
        "SVAE": (vr.protocols.SACHDEVA_2019, svae, ("embedding_dim", "rnn_dim", "hidden_dims", "latent_dim"),
                 {}),
    }
    target.mkdir()
    scores = {}
    for name, (protocol, chapter, sizes, options) in recipes.items():
        split = protocol(vr.load(chapter["data"]), n_heldout=chapter["n_heldout"])
        model = getattr(vr.models, name)(split.n_items, **{size: chapter[size] for size in sizes})
        vr.fit(model, split, max_epochs=chapter["max_epochs"], seed=0, **options)
        model.save(target / f"{name}.safetensors")
        scores[name] = {"protocol": protocol.__name__, "n_heldout": chapter["n_heldout"],
                        "ndcg@100": vr.evaluate(model, split.test, ks=(100,))["ndcg@100"]}
    (target / "scores.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")


def train_chapters(target: Path) -> None:
    """Leave the weights that the comparing chapters load in their profile ``quick``."""
    for stem in COMPARING:
        subprocess.run([sys.executable, ROOT / "notebooks" / "run.py", "--profile", "quick", "--only", stem],
                       check=True, stdout=subprocess.DEVNULL,
                       env=os.environ | {"VAEREC_MODELS": str(target.absolute())})


def write_readme(target: Path) -> None:
    """Say what the pack holds and how to use it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = README.format(version=vr.__version__,
                         dependencies=", ".join(f"`{needed}`" for needed in project["dependencies"]))
    (target / "README.md").write_text(text, encoding="utf-8")


def write_sums(target: Path) -> None:
    """List every file with its SHA-256, as sha256sum reads it."""
    files = sorted(path for path in target.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(target).as_posix()}\n"
             for path in files]
    (target / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def make_pack(target: Path, site: Path) -> Path:
    """Fill ``target`` anew and return its zip."""
    if not (site / "index.html").exists():
        raise SystemExit(f"{site} holds no book: run `make book` first")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    build_wheel(target / "wheels")
    download_wheels(target / "wheels")
    for name in ("LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, target)
    # The chapters read small tables of long runs from the folder beside them.
    for folder, patterns in (("notebooks", ("*.ipynb",)), ("benchmarks", ("*.csv", "published.yaml"))):
        (target / folder).mkdir()
        for pattern in patterns:
            for path in sorted((ROOT / folder).glob(pattern)):
                shutil.copy(path, target / folder)
    shutil.copytree(site, target / "html", ignore=shutil.ignore_patterns(".buildinfo", ".doctrees"))
    train(target / "checkpoints")
    train_chapters(target / "checkpoints")
    write_readme(target)
    write_sums(target)
    return Path(shutil.make_archive(str(target), "zip", target.parent, target.name))


if __name__ == "__main__":
    print(f"The pack is made: {make_pack(Path(sys.argv[1]), Path(sys.argv[2])).resolve()}")
