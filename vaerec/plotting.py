"""One look for every figure of the book."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes

# Okabe & Ito's palette: told apart by colour-blind readers too. Yellow is left out: too pale.
COLORS = {"blue": "#0072B2", "orange": "#D55E00", "green": "#009E73", "pink": "#CC79A7",
          "sky": "#56B4E9", "amber": "#E69F00", "black": "#000000"}


def use_style() -> None:
    """Set matplotlib's defaults for the book.

    Large type, an opaque white ground (the page may be dark), and lines that differ by dash and
    marker as well as colour.
    """
    colors = list(COLORS.values())[:6]
    mpl.rcParams.update({
        "axes.prop_cycle": (cycler(color=colors)
                            + cycler(linestyle=["-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1))])
                            + cycler(marker=["o", "s", "^", "D", "v", "P"])),
        "figure.figsize": (8, 4.5), "figure.dpi": 100, "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "font.size": 13, "axes.titlesize": 15, "axes.titlelocation": "left",
        "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "axes.axisbelow": True, "grid.color": "#dddddd",
        "lines.linewidth": 2, "lines.markersize": 6, "legend.frameon": False,
    })


def label_line(ax: Axes, text: str, line=None) -> None:
    """Write ``text`` at the right end of a line (the newest by default), in its colour."""
    line = ax.lines[-1] if line is None else line
    x, y = line.get_data()
    last = np.flatnonzero(np.isfinite(np.asarray(y, dtype=float)))[-1]
    ax.annotate(text, (x[last], y[last]), xytext=(8, 0), textcoords="offset points",
                va="center", color=line.get_color(), annotation_clip=False)


def interval_bars(ax: Axes, summary, labels: list[str] | None = None) -> None:
    """Dots with horizontal 95 % intervals, one row a model, the value written beside each.

    Parameters
    ----------
    ax : Axes
    summary : DataFrame
        Columns mean, low, high; one row a model. NaN intervals are left out.
    labels : list of str, optional
        Names of the rows; the index by default.
    """
    labels = list(summary.index) if labels is None else labels
    rows = np.arange(len(summary))[::-1]
    error = np.nan_to_num([summary["mean"] - summary["low"], summary["high"] - summary["mean"]])
    ax.errorbar(summary["mean"], rows, xerr=error, fmt="o", color=COLORS["blue"], capsize=4,
                linestyle="none")
    for row, mean, extra in zip(rows, summary["mean"], error[1], strict=True):
        ax.annotate(f"{mean:.3f}", (mean + extra, row), xytext=(8, 0), textcoords="offset points",
                    va="center")
    ax.set_yticks(rows, labels)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.margins(x=0.15)


def group_means(ax: Axes, frame: pd.DataFrame, groups: pd.Series, joined: bool = True) -> None:
    """Mean of each column in each group of users, with 95 % intervals, and n under each group.

    Parameters
    ----------
    ax : Axes
    frame : DataFrame
        One row a user, one column a model; a legend names the columns.
    groups : Series
        The group of each user, index as in ``frame``; categories keep their order, intervals are
        of whole numbers.
    joined : bool
        Join the dots of a model: for groups with an order.
    """
    for column, (name, look) in enumerate(zip(frame, mpl.rcParams["axes.prop_cycle"], strict=False)):
        cell = frame[name].groupby(groups, observed=True).agg(["mean", "sem", "size"])
        place = np.arange(len(cell)) + 0.1 * (column - (frame.shape[1] - 1) / 2)
        if not joined:
            look = look | {"linestyle": "none"}
        ax.errorbar(place, cell["mean"], 1.96 * cell["sem"], capsize=4, label=name, **look)
    labels = [f"{int(group.left) + 1} to {int(group.right)}" if isinstance(group, pd.Interval) else group
              for group in cell.index]
    labels = [f"{label}\nn = {n}" for label, n in zip(labels, cell["size"], strict=True)]
    ax.set_xticks(range(len(cell)), labels, fontsize=11)
    ax.set_xlim(-0.5, len(cell) - 0.5)
