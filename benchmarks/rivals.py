"""MVAE against the VAEs of RecBole and Cornac on MovieLens-1M: training, evaluation, quality; and the floors.

    python benchmarks/rivals.py                   # about fifteen minutes on a quiet machine; the first
                                                  # time some more, to install the rivals
    python benchmarks/rivals.py --epochs 3 --dry  # a look at it: nothing is written
    python benchmarks/rivals.py --seeds 0 2       # qualities alone, five seeds each: half of the runs
    python benchmarks/rivals.py --seeds 1 2       # the other half, beside it; a quarter of an hour

Each rival has an environment of its own, _build/rivals/<name>, made from the pins in
benchmarks/rivals/<name>.txt and left alone while these stay the same; RecBole's pins need Python 3.11.
The data are handed over as files in _build/rivals: the split of LIANG_2018 with 750 + 750 held-out users.
The rivals score training users only, so the held-out users' fold-in joins their training data: they learn
from a third more users and know the test users beforehand, which is in their favour. One row shows ours under
the same conditions: compare its quality with Cornac's. RecBole 1.2.1 also trains another objective: its noise
has a hundredth of the posterior's deviation, and beta climbs to .2 in 200,000 steps, of which 60 epochs are
780, so it ends at .004. That is close to an autoencoder. One more row of ours does the same: compare its
quality with RecBole's.

Every method has a process of its own, 600 hidden units, 200 latent ones, batches of 500 users, Adam at .001,
60 epochs and one seed. All run twice: on one thread, in seconds of the processor, and on two, in seconds of
the clock, where what a method does on one thread alone makes the other wait. Columns:

    processor            as Linux names it. A run replaces the rows of its own processor and keeps the others:
                         how much faster bfloat16 is, and so the whole comparison, depends on it
    epoch_seconds        of training alone, for as many users as the split trains on (scaled by the number)
    step_seconds         ours: the same from a bare loop of loss, backward and Adam, without Lightning,
                         the fastest of five epochs
    evaluation_seconds   full ranking of the test users, scoring inside, all metrics that the method has at
                         10 and 100, fastest of five: ours with intervals, coverage, novelty and Gini;
                         the rivals' NDCG, recall and precision (RecBole's metrics over the catalogue raise
                         an error in this version)
    peak_mb              largest resident size of the process until the training ended, imports included
    ndcg@100             of the test users, by `vaerec.evaluate` from the scores that the method exports.
                         Ours and RecBole's weights are those of the best validation epoch, Cornac's the last
    *_times_faster       the faster rival's seconds over the method's
    *_times_cornac       Cornac's seconds over the method's

The floor of an epoch counts multiply-adds of matrix products alone, three products a layer (forward, and
the gradients of both factors), at the rate of the last layer's three products (500 rows, 600 units, as many
items), measured in the same process at the same precision:

    hidden -> 2 L    600 x 400
    L -> hidden      200 x 600
    hidden -> I      600 x 3,483
    together         2.45 million weights, x 3 = 7.3 million multiply-adds a user

Our first layer, I -> hidden, multiplies nothing: it gathers the rows of the items that dropout leaves of a
history, about 48 x 600 numbers, and for the gradient the rows of an item's users. A step of 500 users reads
58 MB each way and writes 8 MB, which the processor's cache may hold. Adam reads four numbers and writes
three for each of 4.5 million parameters: 127 MB. Both are left out of the floor, as are softmax and noise.
The rivals write each history as a dense row, and pay two products more (the gradient of the row is not asked
for): 2 x 3,483 x 600 = 4.2 million, 11.5 together.

So where both stand on their floors, ours is 11.5 / 7.3 = 1.57 times faster in float32, whatever else is
done: a larger factor is due to the rival's distance from its floor, and twice is out of reach against a rival
that is within 1.27 of its own floor. In bfloat16 the ratio of the two rates comes on top. In evaluation the
scores alone take 2.4 million multiply-adds a user of ours, 4.5 of a rival: one that ranks in batches, as
RecBole does, cannot be left eight times behind; one that loops over users, as Cornac does, can.

What our step spends beyond its floor is, by torch.profiler: the softmax, the gradient of the gathered rows,
Adam, the gathers, scaling the last layer's gradient, tanh, and zeros; in bfloat16 also casts. Beside products
that take half the time, on a faster processor or in bfloat16, these parts weigh twice as much. Of Lightning
there is next to nothing.

A processor may know bfloat16 and be slower in it: ``gemm_billions_a_second`` of both precisions says so. One
of those in the table multiplies it at twice the rate of float32, another at half that rate (it shows no units
for matrices, AMX).

Writes rivals.csv, one row for each processor, number of threads and method; and rivals_seeds.csv, one row for
each seed and method, ours on the rivals' data, with our objective and with RecBole's.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import re
import subprocess
import sys
import venv
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import lightning as L
import numpy as np
import pandas as pd
import torch

import vaerec as vr
from vaerec.batches import UserBatches

ROOT = Path(__file__).resolve().parents[1]
WORKERS, BUILD = Path(__file__).resolve().with_suffix(""), ROOT / "_build" / "rivals"
sys.path.insert(0, str(WORKERS))
import measuring  # noqa: E402
from sweep import sweep  # noqa: E402

TABLE, OF_SEEDS = Path(__file__).with_suffix(".csv"), Path(__file__).with_name("rivals_seeds.csv")
SEEDS = range(5)
RIVALS = {"recbole_multivae": "RecBole MultiVAE", "cornac_vaecf": "Cornac VAECF"}
PRECISIONS = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16}
BETA, BETA_STEPS, NOISE = 0.2, 200_000, 0.01  # of RecBole's MultiVAE


class NearlyNoNoise(vr.models.MVAE):
    """Samples as RecBole does."""

    def sample(self, mu, logvar):
        """[B, L]."""
        return vr.elbo.reparameterize(mu, logvar, NOISE * torch.randn_like(mu))


@dataclasses.dataclass(frozen=True)
class Ours:
    """How a row of ours is trained; ``joined``: on what the rivals train on; ``recbole``: its objective."""

    precision: str = "32-true"
    joined: bool = False
    recbole: bool = False

    def model(self, split: vr.protocols.Split, epochs: int) -> vr.models.MVAE:
        """Of the rivals' sizes."""
        if not self.recbole:
            return vr.models.MVAE(split.n_items, (HIDDEN,), LATENT)
        n_steps = epochs * -(-split.train.n_users // BATCH)
        beta = vr.elbo.LinearToCap(min(BETA, n_steps / BETA_STEPS), fraction=1.0)
        return NearlyNoNoise(split.n_items, (HIDDEN,), LATENT, beta=beta)


OURS = {
    "vaerec MVAE, 32-true": Ours(), "vaerec MVAE, bf16-mixed": Ours("bf16-mixed"),
    (SAME_DATA := "vaerec MVAE, 32-true, the rivals' data"): Ours(joined=True),
    (SAME_OBJECTIVE := "vaerec MVAE, 32-true, RecBole's data and objective"): Ours(joined=True, recbole=True),
}
EPOCHS, BARE_EPOCHS, HIDDEN, LATENT, BATCH = 60, 5, 600, 200, 500
THREADS = (1, 2)
LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
CPUINFO = Path("/proc/cpuinfo")


# -- the rivals' environments and data ---------------------------------------------------------

def python_of(name: str) -> Path:
    """The interpreter of a rival's environment."""
    return BUILD / name / ("Scripts" if os.name == "nt" else "bin") / "python"


def installed(name: str) -> bool:
    """Is the environment there, with the pins of today?"""
    stamp = BUILD / name / "installed.txt"
    return stamp.exists() and stamp.read_text() == (WORKERS / f"{name}.txt").read_text()


def install(name: str) -> None:
    """Make the environment, unless it is there; the stamp comes last, so half a one is never trusted."""
    if installed(name):
        return
    print(f"Installing {RIVALS[name]} into {BUILD / name} ...", flush=True)
    pins = WORKERS / f"{name}.txt"
    venv.create(BUILD / name, clear=True, with_pip=True)
    command = [python_of(name), "-m", "pip", "install", "--quiet", "--progress-bar", "off", "-r", pins]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{RIVALS[name]} was not installed: pip could not get what {pins} asks for, with Python "
                 f"{sys.version.split()[0]} (the pins are for 3.11) and this connection. It said:\n"
                 + done.stderr[-2000:])
    (BUILD / name / "installed.txt").write_text(pins.read_text())


def hand_over(split: vr.protocols.Split, folder: Path) -> None:
    """Write the pairs (user, dense item) of training, validation and test, as RecBole names its files.

    Users are numbered on: training, validation, test. What held-out users show belongs to the training.
    """
    train = split.train.sequences()
    first_test = len(train) + len(split.validation.fold_in)
    folder.mkdir(parents=True, exist_ok=True)
    for part, first, histories in (
            ("train", 0, [*train, *split.validation.fold_in, *split.test.fold_in]),
            ("valid", len(train), split.validation.targets), ("test", first_test, split.test.targets)):
        pairs = [f"{user}\t{item}\n" for user, items in enumerate(histories, first) for item in items]
        file = folder / f"{folder.name}.{part}.inter"
        draft = file.with_suffix(f".{os.getpid()}")  # a worker of another run may be reading the file
        draft.write_text("user_id:token\titem_id:token\n" + "".join(pairs), newline="\n")
        draft.replace(file)


def joined(split: vr.protocols.Split) -> vr.protocols.Split:
    """The split as the rivals learn it: what held-out users show belongs to the training."""
    train, shown = split.train, [*split.validation.fold_in, *split.test.fold_in]
    users = np.arange(train.n_users, train.n_users + len(shown)).repeat([len(items) for items in shown])
    item = np.concatenate([train.item, *shown])
    ids = np.concatenate([train.user_ids, split.validation.user_ids, split.test.user_ids])
    log = vr.Interactions(np.concatenate([train.user, users]), item, np.ones(len(item), np.float32),
                          np.zeros(len(item), np.int64), ids, train.items)
    return dataclasses.replace(split, train=log)


# -- measuring ---------------------------------------------------------------------------------

def processor() -> str:
    """Maker, family and model, since virtual machines hide the name that it is sold by."""
    said = dict(re.findall(r"^(vendor_id|cpu family|model)\s*: (.*)$",
                           CPUINFO.read_text() if CPUINFO.exists() else "", flags=re.MULTILINE))
    if len(said) < 3:
        return platform.processor() or platform.machine()
    return "{vendor_id} family {cpu family} model {model}".format(**said)


def in_own_process(python: list, script: Path, arguments: Iterable, folder: Path, threads: int) -> dict:
    """The figures that a worker left in ``folder``, where it also works, and the scores [U, I]."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").unlink(missing_ok=True)
    limits = dict.fromkeys(LIMITS, str(threads))
    done = subprocess.run([*python, script, *map(str, arguments)], cwd=folder, env=os.environ | limits,
                          capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{script.name} failed:\n{done.stderr[-4000:]}")
    return json.loads((folder / "result.json").read_text()) | {"scores": np.load(folder / "scores.npy")}


def run_rival(name: str, handed: Path, out: Path, epochs: int, threads: int, seed: int = 0) -> dict:
    """One of RIVALS."""
    alone = [python_of(name), "-E"]  # without PYTHONPATH, which may lead to other versions
    return in_own_process(alone, WORKERS / f"{name}.py", (handed, out, epochs, threads, seed), out,
                          threads)


def run_ours(title: str, out: Path, epochs: int, threads: int, seed: int = 0) -> dict:
    """One of OURS."""
    return in_own_process([sys.executable], Path(__file__).resolve(),
                          ("--epochs", epochs, "--threads", threads, "--measure", title, out, seed), out,
                          threads)


class Clock(L.Callback):
    """Seconds from each epoch's first step to its last."""

    seconds = 0.0

    def on_train_epoch_start(self, trainer, task):
        self.start = measuring.now()

    def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx):
        now = measuring.now()
        self.seconds, self.start = self.seconds + now - self.start, now


def bare_epoch(split: vr.protocols.Split, ours: Ours) -> float:
    """Seconds of an epoch of nothing but steps, the fastest of some."""
    model = ours.model(split, BARE_EPOCHS).train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    batches = UserBatches(split.train, BATCH, seed=0)

    def epoch():
        for bags in batches:
            adam.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=ours.precision == "bf16-mixed"):
                loss, _ = model.loss(bags, progress=0.5)
            loss.backward()
            adam.step()

    return measuring.fastest(epoch, BARE_EPOCHS)


def measure_ours(split: vr.protocols.Split, ours: Ours, epochs: int, threads: int, folder: Path,
                 seed: int) -> None:
    """Train, evaluate, and leave figures and scores in ``folder``, as the workers do; in this process."""
    torch.set_num_threads(threads)
    model, clock = ours.model(split, epochs), Clock()
    vr.fit(model, split, max_epochs=epochs, seed=seed, batch_size=BATCH, lr=1e-3, precision=ours.precision,
           callbacks=[clock])
    peak = measuring.peak_mb()
    evaluation = measuring.fastest(lambda: vr.evaluate(model, split.test, ks=(10, 100)).summary())
    measuring.write(folder, model.scores(scored_users(split)).numpy(), training=clock.seconds,
                    evaluation=evaluation, peak_mb=peak, bare=bare_epoch(split, ours),
                    rate=measuring.gemm_rate(split.n_items, PRECISIONS[ours.precision]))


def movielens() -> vr.protocols.Split:
    """The data of all methods."""
    return vr.protocols.LIANG_2018(vr.load("ml-1m"), n_heldout=750)


# -- figures -----------------------------------------------------------------------------------

def multiply_adds(n_items: int, dense_encoder: bool) -> int:
    """Of one user in one epoch, forward and backward, as the docstring counts them."""
    three = HIDDEN * 2 * LATENT + LATENT * HIDDEN + HIDDEN * n_items
    return 3 * three + (2 * n_items * HIDDEN if dense_encoder else 0)


def scored_users(split: vr.protocols.Split) -> list[np.ndarray]:
    """Fold-in of the test users that have targets, in the order of all score files."""
    return [shown for shown, hidden in zip(split.test.fold_in, split.test.targets, strict=True)
            if len(hidden)]


class Given(vr.models.TopNRecommender):
    """Answers with scores [U, I] that were made elsewhere."""

    def __init__(self, scores: np.ndarray):
        super().__init__(scores.shape[1])
        self.given, self.asked = torch.from_numpy(scores), 0

    def score_batch(self, histories, users=None):
        """The next rows: `vaerec.evaluate` asks once for each scored user, in order."""
        self.asked += len(histories)
        return self.given[self.asked - len(histories):self.asked].clone()


def as_row(found: dict, split: vr.protocols.Split, epochs: int, rival: bool, joined: bool) -> dict:
    """What a worker found, as a row of the table; ``joined`` if it also learned from the held-out users."""
    users = split.train.n_users
    seen = users + joined * (len(split.validation.fold_in) + len(split.test.fold_in))
    bare = found["bare"] * users / seen if "bare" in found else None
    return {"epoch_seconds": found["training"] / epochs * users / seen, "step_seconds": bare,
            "floor_seconds": users * multiply_adds(split.n_items, dense_encoder=rival) / found["rate"],
            "evaluation_seconds": found["evaluation"], "peak_mb": found["peak_mb"],
            "ndcg@100": vr.evaluate(Given(found["scores"]), split.test, ks=(100,))["ndcg@100"],
            "gemm_billions_a_second": found["rate"] / 1e9}


def as_table(rows: dict[str, dict], rivals: Iterable[str]) -> pd.DataFrame:
    """One row a method, with the ratios to the floor and to the faster rival."""
    table = pd.DataFrame(rows).T.astype(float).rename_axis("method")
    table.insert(3, "epoch_over_floor", table["epoch_seconds"] / table["floor_seconds"])
    table.insert(4, "step_over_floor", table["step_seconds"] / table["floor_seconds"])
    for what in ("epoch", "evaluation"):
        seconds = table[f"{what}_seconds"]
        table[f"{what}_times_faster"] = seconds[list(rivals)].min() / seconds
        table[f"{what}_times_cornac"] = seconds[RIVALS["cornac_vaecf"]] / seconds
    return table


def measure_all(split: vr.protocols.Split, epochs: int, threads: int) -> pd.DataFrame:
    """The rows of one number of threads."""
    rows = {}
    for number, (title, ours) in enumerate(OURS.items()):
        print(f"{title}, threads: {threads} ...", flush=True)
        found = run_ours(title, BUILD / f"run-vaerec-{number}", epochs, threads)
        rows[title] = as_row(found, split, epochs, rival=False, joined=ours.joined)
    for name, title in RIVALS.items():
        print(f"{title}, threads: {threads} ...", flush=True)
        found = run_rival(name, BUILD / "handed", BUILD / f"run-{name}", epochs, threads)
        rows[title] = as_row(found, split, epochs, rival=True, joined=True)
    table = as_table(rows, RIVALS.values()).round(4).reset_index().assign(
        epochs=epochs, torch=torch.__version__.split("+")[0])
    for place, (name, value) in enumerate({"processor": processor(), "threads": threads}.items()):
        table.insert(place, name, value)
    return table


def quality(split: vr.protocols.Split, epochs: int, title: str, seed: int) -> list[dict]:
    """The row of one method and seed."""
    out = BUILD / f"seed-{seed}-{'-'.join(re.findall('[A-Za-z]+', title))}"
    names = {name: key for key, name in RIVALS.items()}
    found = (run_rival(names[title], BUILD / "handed", out, epochs, 1, seed) if title in names
             else run_ours(title, out, epochs, 1, seed))
    report = vr.evaluate(Given(found["scores"]), split.test, ks=(100,))
    return [{"variant": title, "seed": seed, "ndcg@100": round(report["ndcg@100"], 6), "epochs": epochs}]


def merged(new: pd.DataFrame, old: pd.DataFrame) -> pd.DataFrame:
    """The new rows, after those of ``old`` that are of other processors or numbers of threads."""
    key = ["processor", "threads"]
    return pd.concat([old[~old.set_index(key).index.isin(new.set_index(key).index)], new], ignore_index=True)


def plot(table: pd.DataFrame, file: Path) -> None:
    """Seconds of an epoch and the floors under them, a panel for each number of threads."""
    from matplotlib.figure import Figure

    panels = Figure(figsize=(10, 3), layout="constrained").subplots(
        1, table["threads"].nunique(), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (threads, rows) in zip(panels, table.groupby("threads"), strict=True):
        axes.barh(rows["method"], rows["epoch_seconds"], label="epoch")
        axes.barh(rows["method"], rows["floor_seconds"], height=0.3, label="floor")
        axes.set(xlabel="seconds for 4,534 users", title=f"threads: {threads}")
    panels[0].legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    panels[0].figure.savefig(file)


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--threads", type=int, nargs="+", default=THREADS)
    parser.add_argument("--dry", action="store_true", help="write no table")
    parser.add_argument("--plot", type=Path, help="draw into this file, for example _build/rivals.svg")
    parser.add_argument("--seeds", type=int, nargs=2, help="this part of so many")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    split = movielens()
    if options.measure:
        title, folder, seed = options.measure
        ours = OURS[title]
        measure_ours(joined(split) if ours.joined else split, ours, options.epochs, options.threads[0],
                     Path(folder), int(seed))
        return
    for name in RIVALS:
        install(name)
    hand_over(split, BUILD / "handed")
    if options.seeds:
        titles = (SAME_DATA, SAME_OBJECTIVE, *RIVALS.values())
        sweep(OF_SEEDS, [(title, seed) for seed in SEEDS for title in titles],
              partial(quality, split, options.epochs), *options.seeds)
        return
    table = pd.concat([measure_all(split, options.epochs, threads) for threads in options.threads])
    if not options.dry:
        (merged(table, pd.read_csv(TABLE)) if TABLE.exists() else table).to_csv(TABLE, index=False)
    if options.plot:
        plot(table, options.plot)
    print(table.set_index(["threads", "method"]).T.to_string())


if __name__ == "__main__":
    main()
