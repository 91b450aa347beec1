"""Full-ranking evaluation: ours against its floor and against pytrec_eval, in one run.

    python benchmarks/evaluation.py

Scores of 750 users × 3,483 items are given, so that only ranking and metrics are timed. The floor is
one pass of ``torch.topk`` over the scores for each of the two lists that `vaerec.evaluate` makes
(masked, and unmasked for the collapse alarm): 2 × 750 × 3,483 × 4 bytes = 21 MB are read. The rival
gets the top 100 of each user ready-made, and computes NDCG, recall and precision only.
"""

from __future__ import annotations

import time

import numpy as np
import pytrec_eval
import torch

import vaerec as vr
from vaerec.protocols import HeldOut

N_USERS, N_ITEMS, K, REPEATS = 750, 3483, 100, 7


class Given(vr.models.TopNRecommender):
    """Returns scores that were made before the clock starts, one row a user."""

    def __init__(self, scores: torch.Tensor):
        super().__init__(scores.shape[1])
        self.given = scores

    def score_batch(self, histories, users=None):
        """Rows by the first item of each history, which names the user."""
        return self.given[[int(history[0]) for history in histories]]


def questions(generator: np.random.Generator) -> HeldOut:
    """About 75 shown and 18 hidden items a user, as on MovieLens-1M."""
    orders = [generator.permutation(np.arange(N_USERS, N_ITEMS)) for _ in range(N_USERS)]
    return HeldOut(
        user_ids=np.arange(N_USERS), fold_in=[np.append(u, o[:74]) for u, o in enumerate(orders)],
        targets=[o[74:92] for o in orders], item_counts=np.ones(N_ITEMS, np.int64), n_train_users=4534)


def fastest(function) -> float:
    """Seconds of the fastest of some calls."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    """Print seconds and ratios."""
    generator = np.random.default_rng(0)
    scores = torch.from_numpy(generator.random((N_USERS, N_ITEMS), dtype=np.float32))
    held_out, model = questions(generator), Given(scores)
    ours = fastest(lambda: vr.evaluate(model, held_out, ks=(10, K)).summary())
    floor = fastest(lambda: (scores.topk(K), scores.topk(K)))
    top = scores.topk(K).indices.numpy()
    runs = {str(u): {str(i): float(K - r) for r, i in enumerate(row)} for u, row in enumerate(top)}
    truth = {str(u): {str(i): 1 for i in t} for u, t in enumerate(held_out.targets)}
    measures = {"ndcg_cut.10,100", "recall.10,100", "P.10,100"}
    rival = fastest(lambda: pytrec_eval.RelevanceEvaluator(truth, measures).evaluate(runs))
    print(f"{torch.get_num_threads()} threads, {N_USERS} users × {N_ITEMS} items, k = {K}")
    print(f"vaerec.evaluate, all metrics with intervals {ours:.3f} s")
    print(f"floor, two top-k passes                     {floor:.3f} s   ours / floor {ours / floor:.1f}")
    print(f"pytrec_eval, ready-made lists, no intervals {rival:.3f} s   ours / rival {ours / rival:.1f}")


if __name__ == "__main__":
    main()
