"""Figures say what their numbers say, and not by colour alone."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from vaerec import plotting


@pytest.fixture
def ax():
    with mpl.rc_context():
        plotting.use_style()
        figure, ax = plt.subplots()
        yield ax
        plt.close(figure)


def test_lines_differ_by_dash_and_marker(ax):
    lines = [ax.plot([0, 1], [n, n])[0] for n in range(4)]
    assert len({str(line._dash_pattern) for line in lines}) == 4
    assert len({line.get_marker() for line in lines}) == 4


def test_a_line_is_labelled_at_its_last_number(ax):
    ax.plot([0, 1, 2], [5.0, 7.0, np.nan])
    plotting.label_line(ax, "model")
    (label,) = ax.texts
    assert label.get_text() == "model" and label.xy == (1, 7.0)
    assert label.get_color() == ax.lines[0].get_color()


def test_interval_bars_write_each_mean_and_span_each_interval(ax):
    summary = pd.DataFrame({"mean": [0.4, 0.2], "low": [0.35, np.nan], "high": [0.47, np.nan]},
                           index=["EASE", "popularity"])
    plotting.interval_bars(ax, summary)
    assert [text.get_text() for text in ax.texts] == ["0.400", "0.200"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["EASE", "popularity"]
    (bars,) = (c for c in ax.collections if isinstance(c, mpl.collections.LineCollection))
    (start, end), (start_2, end_2) = (segment[:, 0] for segment in bars.get_segments())
    assert (start, end) == pytest.approx((0.35, 0.47))
    assert start_2 == end_2 == pytest.approx(0.2)
