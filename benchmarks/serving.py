"""How long one recommendation takes: ONNX Runtime against PyTorch and against the memory floor.

    python benchmarks/serving.py      # about a minute; writes serving.csv

One thread, a catalogue of 3,500 items, lists of 100, histories of 100 items; weights are as drawn, since the
time does not depend on them. MVAE reads the whole history, SVAE one more item with the state kept.

The floor: what one user's answer must read from memory are the weights behind z, 4 bytes each (MVAE:
(200 + 3,500) x 600; SVAE: (64 + 3,500) x 150), and for the rows of a history 100 x 600 numbers more (MVAE) or
the recurrent weights 3 x 200 x (256 + 200) (SVAE); with the encoder's 600 x 400 or 200 x 150 + 150 x 128. The
bandwidth is measured in the same run by summing an array of 256 MB. Weights this small stay in the
processor's cache between calls, so a time below the floor is possible: it says that memory is not the limit.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import torch

import vaerec as vr
from vaerec.models.base import mask_seen

TABLE = Path(__file__).with_suffix(".csv")
N_ITEMS, K, LENGTH, BATCH, SECONDS = 3_500, 100, 100, 256, 2.0
WEIGHTS = {"MVAE": (200 + N_ITEMS) * 600 + LENGTH * 600 + 600 * 400,
           "SVAE": (64 + N_ITEMS) * 150 + 3 * 200 * (256 + 200) + 200 * 150 + 150 * 128}


def seconds(work: Callable[[], object]) -> float:
    """Median seconds of one call."""
    for _ in range(3):
        work()
    taken, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def bandwidth() -> float:
    """Bytes a second that one thread reads."""
    array = np.ones(64_000_000, np.float32)
    return array.nbytes / seconds(lambda: array.sum())


def served(model: vr.models.TopNRecommender) -> Callable[[dict], object]:
    """The exported model on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        model.export(Path(folder) / "model.onnx", K)
        session = onnxruntime.InferenceSession(Path(folder) / "model.onnx", options)
    return lambda inputs: session.run(None, inputs)


def in_pytorch(model: vr.models.TopNRecommender, inputs: dict) -> torch.return_types.topk:
    """The same answer from the model itself."""
    with torch.no_grad():
        if "item" in inputs:
            items, state = torch.from_numpy(inputs["item"])[:, None], torch.from_numpy(inputs["state"])
            scores = model.score_state(model.read(items, (state,))[1])
        else:
            scores = model.scores(inputs["history"])
        return mask_seen(scores, inputs["history"]).topk(K, dim=1)


def rows(name: str, bytes_per_second: float) -> list[dict]:
    """One model: a single user, then many at once."""
    model = getattr(vr.models, name)(N_ITEMS)
    onnx, chance = served(model), np.random.default_rng(0)
    model.eval()
    found = []
    for n_users in (1, BATCH):
        inputs = {"history": np.stack([chance.permutation(N_ITEMS)[:LENGTH] for _ in range(n_users)])}
        if name == "SVAE":
            inputs |= {"item": inputs["history"][:, -1],
                       "state": np.zeros((n_users, model.rnn_dim), np.float32)}
        times = {"onnxruntime": seconds(partial(onnx, inputs)),
                 "pytorch": seconds(partial(in_pytorch, model, inputs))}
        for runtime, taken in times.items():
            found.append({"model": name, "users": n_users, "runtime": runtime,
                          "milliseconds": round(1000 * taken, 3), "users_per_second": round(n_users / taken),
                          "floor_milliseconds": round(1000 * 4 * WEIGHTS[name] / bytes_per_second, 3),
                          "threads": 1, "torch": torch.__version__.partition("+")[0],
                          "onnxruntime": onnxruntime.__version__})
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    speed = bandwidth()
    table = pd.DataFrame([row for name in WEIGHTS for row in rows(name, speed)])
    table.to_csv(TABLE, index=False)
    print(f"{speed / 1e9:.1f} GB/s", table.to_string(), sep="\n")
