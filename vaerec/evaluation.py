"""Evaluation: rank for held-out users, score the lists by `vaerec.metrics`, compare models fairly."""

from __future__ import annotations

import html
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral

import numpy as np
import pandas as pd
import torch
from scipy.special import stdtrit  # Student's t: scipy.stats takes a second to import
from torch import Tensor

from vaerec.comparison import Comparison, pooled
from vaerec.metrics import collapse_alarms, find_hits, of_all_lists, per_user
from vaerec.metrics import gini as gini  # chapters 1 and 8 look for both here
from vaerec.metrics import gini_d as gini_d
from vaerec.models.base import TopNRecommender, mask_seen, users_at_once
from vaerec.ranking import best
from vaerec.splits import HeldOut, Split

N_RESAMPLES = 1000
BOOTSTRAP_SEED = 0


@dataclass(frozen=True, eq=False)
class Report:
    """What `evaluate` found.

    Attributes
    ----------
    per_user : DataFrame
        One row per scored user (index: raw id), one column per per-user metric such as
        ``ndcg@100``.
    lists : dict
        Metrics of all the lists together: coverage, Gini, overlap.
    alarms : tuple of str
        Signs that the model has collapsed to one list; empty for a personal model.
    """

    per_user: pd.DataFrame
    lists: dict[str, float]
    alarms: tuple[str, ...] = ()

    def summary(self) -> pd.DataFrame:
        """Frame indexed by metric: mean, low, high (95 % bootstrap interval over users).

        Metrics of the lists together have no interval: resampling users repeats lists, which
        biases coverage downward. Repeat the training over seeds for theirs.
        """
        rows = {name: (mean, *self._intervals[name]) for name, mean in self.per_user.mean().items()}
        rows |= {name: (value, np.nan, np.nan) for name, value in self.lists.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high"]
                                      ).rename_axis("metric")

    def __getitem__(self, metric: str) -> float:
        """The mean of one metric: ``report["ndcg@100"]``."""
        if metric in self.lists:
            return self.lists[metric]
        return float(_column(self, metric).mean())

    def table(self) -> pd.DataFrame:
        """The summary for people: a row a metric, the means and intervals of each k side by side."""
        summary = self.summary()
        cells = {}
        for name, row in summary.iterrows():
            metric, _, k = name.partition("@")
            interval = "" if np.isnan(row["low"]) else f"{row['low']:.3f} to {row['high']:.3f}"
            cells.setdefault(f"@{k}", {})[metric] = f"{row['mean']:.4f}"
            cells.setdefault(f"95 % @{k}", {})[metric] = interval
        return pd.DataFrame(cells).fillna("")

    def __repr__(self) -> str:
        return "\n".join([self._title, self.table().to_string(), *self.alarms])

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in (self._title, *self.alarms))
        return f"<div>{lines}{self.table().to_html(border=0)}</div>"

    @property
    def _title(self) -> str:
        return f"Report of {len(self.per_user):,} users"

    @cached_property
    def _intervals(self) -> dict[str, tuple[float, float]]:
        means = _bootstrap_means(self.per_user.to_numpy())
        low, high = np.percentile(means, [2.5, 97.5], axis=0)
        return dict(zip(self.per_user.columns, zip(low, high, strict=True), strict=True))


def evaluate(model: TopNRecommender, held_out: HeldOut, ks: Sequence[int] | int | None = None,
             batch_size: int | None = None, mask: bool = True) -> Report:
    """Rank the whole catalogue for each held-out user and score the lists.

    The formulas, with n targets and hits rel_r at rank r:

    - ``ndcg@k``: sum_{r<=k} rel_r / log2(r + 1), over its best value, sum_{r<=min(k,n)} 1 / log2(r + 1)
    - ``recall@k``: hits / min(k, n), as Liang et al. 2018; ``recall_all@k``: hits / n
    - ``precision@k``: hits / k
    - ``novelty@k``: mean over the list of -log2(training users of the item / training users)
    - ``coverage@k``: distinct items recommended to anyone / catalogue
    - ``gini@k``: inequality of the recommendation counts over the whole catalogue, 0 = even
    - ``gini_d@k``: MetaRec's variant over recommended items only, where a constant list scores 1
    - ``overlap@k``: mean share of items that two users' lists have in common

    Equal scores are decided by a permutation of the items that is the same for every k, batch and device.

    Parameters
    ----------
    model : TopNRecommender
    held_out : HeldOut
        U users; those without targets are not scored.
    ks : int or sequence of int, optional
        Lengths of the lists; by default 10 and 100, or the whole catalogue where it is smaller.
    batch_size : int, optional
        Users scored at once: memory grows with it, not with U. By default at most 500, fewer where the
        catalogue is large.
    mask : bool
        Keep seen items out of the lists. False repeats published tables that forgot it (chapter 9).

    Raises
    ------
    ValueError
        A k outside [1, n_items], a model that was fitted on another catalogue, no user with targets,
        or a score that is not a number.
    TypeError
        ``held_out`` is a whole split, or a log.

    Warns
    -----
    UserWarning
        Targets that were shown and are masked.
    """
    if not isinstance(held_out, HeldOut):
        part = "its part, split.test or split.validation" if isinstance(held_out, Split) else (
            "the part of a split, such as vr.protocols.LIANG_2018(log).test")
        raise TypeError(f"evaluate got {held_out!r}, expected a HeldOut: pass {part}")
    if ks is None:
        ks = (min(10, model.n_items), min(100, model.n_items))
    ks = sorted({ks} if isinstance(ks, Integral) else set(ks))
    batch_size = users_at_once(model.n_items) if batch_size is None else batch_size
    if not ks or ks[0] < 1 or ks[-1] > model.n_items:
        raise ValueError(f"ks={tuple(ks)}: list lengths must lie in [1, {model.n_items}], the catalogue")
    if len(held_out.item_counts) != model.n_items:
        raise ValueError(f"the model knows {model.n_items} items, the held-out users' catalogue has "
                         f"{len(held_out.item_counts)}: take the split that the model was made for")
    model.refuse_other_catalogue(held_out.catalogue)
    scored = np.flatnonzero([len(targets) > 0 for targets in held_out.targets])
    if len(scored) == 0:
        raise ValueError("no held-out user has a target: nothing to score")
    if mask and held_out.n_shown:
        warnings.warn(f"{held_out.n_shown:,} targets stand in the fold-in of their users, where masking "
                      "hides them from every list: no model can find them", stacklevel=2)
    counts = _ListCounts(ks, model.n_items)
    information = -np.log2(held_out.item_counts / held_out.n_train_users)
    information = torch.from_numpy(information)
    frames = []
    for start in range(0, len(scored), batch_size):
        users = scored[start:start + batch_size]
        histories, targets = ([part[u] for u in users] for part in (held_out.fold_in, held_out.targets))
        raw_ids = held_out.user_ids[users]
        scores = model.scores(histories, raw_ids if model.needs_users else None)
        model.refuse_non_finite(scores, raw_ids)
        values, lists = best(mask_seen(scores, histories) if mask else scores, ks[-1])  # each [B, K]
        shown = values > -torch.inf  # [B, K]: False where a user has seen nearly everything
        hits = find_hits(lists, targets, model.n_items) & shown
        counts.add(lists, shown, scores)
        # From here on everything is B × K and in float64, which not every accelerator has.
        hits, shown, lists = hits.cpu(), shown.cpu(), lists.cpu()
        columns = per_user(hits, shown, information[lists], targets, ks)
        frames.append(pd.DataFrame(columns, index=pd.Index(raw_ids, name="user")))
    return Report(pd.concat(frames), counts.metrics(), counts.alarms())


def compare(report: Report | Sequence[Report], other: Report | Sequence[Report],
            metric: str) -> Comparison:
    """Paired difference ``report - other`` in a per-user metric, with a 95 % interval.

    For two reports the interval is a bootstrap over users, who are drawn once for both models, so what they
    have in common cancels (Efron 1979). It says nothing about the seed. For two sequences, a report a run
    such as a seed or a fold of `vaerec.protocols.rotating_folds`, see `vaerec.comparison.pooled`: the
    interval is about users and runs.

    Parameters
    ----------
    report, other : Report or sequence of Report
        Of two models on the same held-out users, with the same targets; of sequences, run by run.
    metric : str
        Such as ``"ndcg@100"``.

    Raises
    ------
    ValueError
        The reports are about different users, the sequences differ in length or share some users but
        not all, or the metric is not a per-user one.
    """
    if isinstance(report, Report) and isinstance(other, Report):
        difference = _paired(report, other, metric).to_numpy()
        low, high = np.percentile(_bootstrap_means(difference[:, None]), [2.5, 97.5])
        return Comparison(float(difference.mean()), float(low), float(high), len(difference),
                          float(difference.std(ddof=1) / len(difference) ** 0.5))
    ours, theirs = ([part] if isinstance(part, Report) else list(part) for part in (report, other))
    if len(ours) != len(theirs) or len(ours) < 2:
        raise ValueError(f"{len(ours)} reports against {len(theirs)}: expected two reports, or two sequences "
                         "of as many, at least two each")
    return pooled([_paired(*pair, metric) for pair in zip(ours, theirs, strict=True)])


def _paired(report: Report, other: Report, metric: str) -> pd.Series:
    ours, theirs = _column(report, metric), _column(other, metric)
    if not ours.index.equals(theirs.index):
        raise ValueError("the reports are about different users: evaluate both on the same split")
    return ours - theirs


def validate(model: TopNRecommender, held_out: HeldOut) -> dict[str, float]:
    """What chooses the best epoch: NDCG of lists of 100, or of the whole catalogue where it is smaller."""
    k = min(100, model.n_items)
    return {f"validation_ndcg@{k}": evaluate(model, held_out, ks=(k,))[f"ndcg@{k}"]}


def over_seeds(runs: pd.DataFrame, metric: str, by: str = "variant") -> pd.DataFrame:
    r"""Mean over seeds and its 95 % interval, :math:`\bar x \pm t_{.975,\,n-1}\, s / \sqrt n`.

    The interval is about the seed, the users being the same: another question than that of `compare`.

    Parameters
    ----------
    runs : DataFrame
        One row a run.
    metric : str
        A column of ``runs``.
    by : str
        The column that names what was run; its groups keep their order.

    Returns
    -------
    DataFrame
        mean, low, high (NaN for a single seed) and seeds of each group.
    """
    groups = runs.groupby(by, sort=False)[metric]
    frame = pd.DataFrame({"mean": groups.mean(), "seeds": groups.count()})
    half = groups.sem() * stdtrit(frame["seeds"] - 1, 0.975)
    frame.insert(1, "low", frame["mean"] - half)
    frame.insert(2, "high", frame["mean"] + half)
    return frame


def _column(report: Report, metric: str) -> pd.Series:
    if metric not in report.per_user:
        raise ValueError(f"no per-user metric {metric!r}: expected one of {list(report.per_user)}; "
                         f"of all lists together there are {list(report.lists)}")
    return report.per_user[metric]


def _bootstrap_means(values: np.ndarray) -> np.ndarray:
    """Means of resampled users: [U, M] -> [N_RESAMPLES, M]."""
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    n = len(values)
    counts = (np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(N_RESAMPLES))
    return np.stack([count @ values for count in counts]) / n


@dataclass
class _ListCounts:
    """How often each item is recommended: all that list metrics need, so users can be streamed."""

    ks: list[int]
    n_items: int
    masked: dict[int, Tensor] = field(default_factory=dict)  # k -> counts [I]
    unmasked: Tensor | float = 0.0  # counts [I] at alarm_k
    n_users: int = 0

    @property
    def alarm_k(self) -> int | None:
        """The longest list that does not hold half the catalogue: beyond, all lists are alike."""
        return max((k for k in self.ks if 2 * k <= self.n_items), default=None)

    def add(self, lists: Tensor, shown: Tensor, scores: Tensor) -> None:
        """Count masked lists [B, K], and unmasked ones from the scores [B, I]."""
        self.n_users += len(lists)
        for k in self.ks:
            recommended = lists[:, :k][shown[:, :k]]
            self.masked[k] = self.masked.get(k, 0) + recommended.bincount(minlength=self.n_items)
        if self.alarm_k:
            # Masking differs from user to user, so it hides that all lists are one.
            unmasked = best(scores, self.alarm_k)[1].flatten()
            self.unmasked = self.unmasked + unmasked.bincount(minlength=self.n_items)

    def metrics(self) -> dict[str, float]:
        """coverage, gini, gini_d and overlap at each k."""
        metrics = {}
        for k in self.ks:
            metrics |= of_all_lists(self.masked[k].cpu().double().numpy(), self.n_users, k)
        return metrics

    def alarms(self) -> tuple[str, ...]:
        """Messages of the collapse alarm."""
        if self.alarm_k is None:
            return ()
        return collapse_alarms(self.unmasked.cpu().double().numpy(), self.n_users, self.alarm_k)
