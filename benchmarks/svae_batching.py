"""SVAE in padded batches against batch size 1, in one run on the same threads; and against its floor.

    python benchmarks/svae_batching.py            # on a quiet machine; about a quarter of an hour

The rival is written after the original's description: one user a step, targets as dense rows of zeros
and ones filled step by step, a plain softmax, Adam with the authors' learning rate and weight decay, and like
theirs its loss is a sum over the steps: with a mean the weight decay would weigh a hundred times more. It
has the same dimensions, starts from the same weights, and reads with PyTorch's own GRU layer.

Both are asked for seconds a pass over the training users, and for training seconds until NDCG@100 of the
validation users reaches GOAL; evaluation is off the clock. The rival is looked at four times a pass, and
given up after MOST passes: then its seconds to the goal are a lower limit. Ours is looked at each epoch.

The floor counts three products (forward, and the gradients of both factors) for each weight that a
position meets, at the rate of a large float32 product measured in the same run:

    decoder   hidden x I                      150 x 3,483
    GRU       3 H (embedding + H)             600 x (256 + 200)
    encoder   H hidden + hidden 2 L + L hidden  200 x 150 + 150 x 128 + 64 x 150

Embedding rows, tanh, softmax and Adam are left out: the floor cannot be reached.
Writes svae_batching.csv, one row a method.
"""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import torch
from torch.nn import functional as F

import vaerec as vr
from vaerec.elbo import gaussian_kl

TABLE = Path(__file__).with_suffix(".csv")
GOAL, LOOKS, MOST = 0.28, 4, 2
OURS = {  # what vr.fit is told beyond SVAE's recipe
    "padded": {},
    "padded by 32, bfloat16": {"precision": "bf16-mixed", "batch_size": 32, "lr": 0.012},
    "padded by 64, bfloat16": {"precision": "bf16-mixed", "batch_size": 64, "lr": 0.016},
}
EPOCHS = 3  # over which ours stretches its schedule


def reaches(model: vr.models.SVAE, split: vr.protocols.Split) -> float:
    """NDCG@100 of the validation users."""
    return vr.evaluate(model, split.validation, ks=(100,))["ndcg@100"]


def one_user_loss(model: vr.models.SVAE, history: torch.Tensor) -> torch.Tensor:
    """Loss of one history [T], mean over its steps, with dense targets [T - 1, I]."""
    target = torch.zeros(len(history) - 1, model.n_items)
    for t in range(len(history) - 1):
        target[t, history[t + 1:t + 1 + model.targets]] = 1.0
    hidden, _ = model.read(history[None, :-1])  # [1, T - 1, H]
    mu, logvar = model.infer(hidden[0])
    log_pi = F.log_softmax(model.decode(model.sample(mu, logvar)), dim=1)  # [T - 1, I]
    distortion = -(target * log_pi).sum() / model.targets
    return (distortion + model.beta(1.0) * gaussian_kl(mu, logvar).sum()) / len(target)


def rival(split: vr.protocols.Split) -> dict:
    """Batch size 1 until it reaches the goal."""
    torch.manual_seed(0)
    model = vr.models.SVAE(split.n_items)
    theirs = torch.nn.GRU(model.embedding_dim, model.rnn_dim, batch_first=True)
    theirs.load_state_dict(model.rnn.state_dict())
    model.rnn = theirs
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=5e-3)
    histories = [torch.from_numpy(history) for history in split.train.sequences() if len(history) > 1]
    look_every = -(-len(histories) // LOOKS)
    n_looks, seconds, best = 0, 0.0, 0.0
    while n_looks < LOOKS or (best < GOAL and n_looks < MOST * LOOKS):
        if n_looks % LOOKS == 0:
            order = torch.randperm(len(histories))
        model.train()
        start = time.perf_counter()
        for user in order[n_looks % LOOKS * look_every:][:look_every]:
            adam.zero_grad()
            loss = (len(histories[user]) - 1) * one_user_loss(model, histories[user])
            loss.backward()
            adam.step()
        seconds += time.perf_counter() - start
        n_looks, best = n_looks + 1, max(best, reaches(model, split))
        print(f"batch size 1: {n_looks / LOOKS:.2f} epochs, {seconds:.0f} s, NDCG@100 {best:.4f}", flush=True)
    return {"seconds_an_epoch": seconds * LOOKS / n_looks, "seconds_to_goal": seconds,
            "epochs_to_goal": n_looks / LOOKS, "ndcg@100": best}


def ours(split: vr.protocols.Split, options: dict) -> dict:
    """`vr.fit`, the schedule stretched over few epochs."""
    history = vr.fit(vr.models.SVAE(split.n_items), split, max_epochs=EPOCHS, **options)
    passed = history["validation_ndcg@100"] >= GOAL
    n = int(passed.idxmax()) + 1 if passed.any() else len(history)
    return {"seconds_an_epoch": history["seconds"].mean(), "seconds_to_goal": history["seconds"][:n].sum(),
            "epochs_to_goal": float(n), "ndcg@100": history["validation_ndcg@100"][:n].max(),
            "padded_steps": history["padded"].mean()}


def gemm_rate() -> float:
    """Multiply-adds a second of a product of two 2,048 x 2,048 matrices, the fastest of five."""
    a, b = torch.randn(2, 2048, 2048)
    fastest = min(_seconds(lambda: a @ b) for _ in range(5))
    return 2048**3 / fastest


def _seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def multiply_adds(model: vr.models.SVAE, positions: int) -> int:
    """Those of an epoch, forward and backward, that the docstring counts."""
    matrices = [model.rnn.weight_ih_l0, model.rnn.weight_hh_l0,
                *(layer.weight for part in (model.encoder, model.decoder) for layer in part
                  if isinstance(layer, torch.nn.Linear))]
    return 3 * positions * sum(weight.numel() for weight in matrices)


def main() -> None:
    """Print and write the table."""
    split = vr.protocols.SACHDEVA_2019(vr.load("ml-1m"))
    positions = len(split.train) - split.train.n_users
    floor = multiply_adds(vr.models.SVAE(split.n_items), positions) / gemm_rate()
    rows = {name: ours(split, options) for name, options in OURS.items()}
    rows = {"batch size 1": rival(split)} | rows
    table = pd.DataFrame(rows).T.rename_axis("method")
    for column in ("seconds_an_epoch", "seconds_to_goal"):
        table[column.replace("seconds", "times_faster")] = table.loc["batch size 1", column] / table[column]
    table["over_float32_floor"] = table["seconds_an_epoch"] / floor
    table = table.assign(floor_seconds=floor, goal=GOAL, threads=torch.get_num_threads(),
                         torch=torch.__version__.split("+")[0])
    table.round(3).to_csv(TABLE)
    print(table.round(3).T.to_string())


if __name__ == "__main__":
    main()
