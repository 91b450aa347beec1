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


def test_group_means_write_n_and_span_the_interval_of_each_group(ax):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"EASE": rng.random(90), "popularity": rng.random(90)})
    groups = pd.Series(pd.Categorical(["many"] * 60 + ["few"] * 30, ["few", "many"]))
    plotting.group_means(ax, frame, groups, joined=False)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["few\nn = 30", "many\nn = 60"]
    assert [container.get_label() for container in ax.containers] == ["EASE", "popularity"]
    line, _, (bars,) = ax.containers[0]
    assert line.get_linestyle() == "None"
    of_few = frame["EASE"][60:]
    low, high = bars.get_segments()[0][:, 1]
    assert line.get_ydata()[0] == pytest.approx(of_few.mean())
    assert high - low == pytest.approx(2 * 1.96 * of_few.sem())


def test_groups_that_are_intervals_are_named_by_whole_numbers(ax):
    shown = pd.Series(np.arange(1, 41))
    plotting.group_means(ax, pd.DataFrame({"EASE": shown / 40}), pd.cut(shown, [0, 10, 40]))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1 to 10\nn = 10", "11 to 40\nn = 30"]
