"""The page of results shows what the notebooks recorded and what the tables of seeds hold."""

import sys

import pandas as pd
import pytest
import run
from bs4 import BeautifulSoup

sys.path.insert(0, str(run.ROOT / "benchmarks"))
import results


@pytest.fixture(scope="module")
def tables(site) -> list[pd.DataFrame]:
    """The tables of the built page: one a protocol, then the others."""
    html = (site / "book" / "results.html").read_text(encoding="utf-8")
    return [frame(table) for table in BeautifulSoup(html, "html.parser").find_all("table")]


def frame(table) -> pd.DataFrame:
    """An HTML table as texts."""
    head, *rows = ([cell.get_text().strip() for cell in row.find_all(["th", "td"])]
                   for row in table.find_all("tr"))
    return pd.DataFrame(rows, columns=head)


def having(tables: list[pd.DataFrame], column: str) -> list[pd.DataFrame]:
    return [table for table in tables if column in table]


def test_each_row_is_on_the_page_with_the_recorded_value(tables):
    for table, protocol in zip(tables, results.PROTOCOLS, strict=False):
        rows = [row for row in results.ROWS if row.protocol == protocol]
        assert table["model"].tolist() == [row.model for row in rows]
        recorded = [run.recorded(run.read(row.stem))[row.metric] if row.metric else None for row in rows]
        assert table["test NDCG@100, this run"].tolist() == [
            "-" if value is None else f"{value:.4f}" for value in recorded]


def test_means_over_seeds_are_those_of_the_tables(tables):
    column = "mean over seeds, 95 % interval"
    shown = {(protocol, row["model"]): row[column]
             for table, protocol in zip(tables, results.PROTOCOLS, strict=False)
             for _, row in table.iterrows()}
    for row in results.ROWS:
        if row.table is None:
            assert shown[row.protocol, row.model] == "-"
            continue
        runs = pd.read_csv(run.ROOT / "benchmarks" / row.table[0])
        runs = runs[(runs["variant"] == row.table[1]) & runs.get("masked", True)]
        mean, _, rest = shown[row.protocol, row.model].partition(" ")
        assert float(mean) == pytest.approx(runs["ndcg@100"].mean(), abs=5e-5)
        assert rest.endswith(f"{len(runs)} seeds")


def test_the_lists_are_those_of_chapter_8(tables):
    table, values = tables[len(results.PROTOCOLS)].set_index("model"), run.recorded(run.read(results.LISTS))
    assert table.index.tolist() == list(results.LIST_MODELS)
    assert table.loc["EASE", "coverage@100"] == f"{values['c08_ease_coverage@100']:.4f}"
    assert table.loc["MVAE", "novelty@100"] == f"{values['c08_mvae_novelty@100']:.4f}"


def test_training_time_stands_beside_the_blogs_with_the_hardware(tables):
    (times,) = having(tables, "ours")
    times = times.set_index("model")
    for model, seconds in (("MVAE", "137 s"), ("SVAE", "1,565 s")):
        row = times.loc[[model]].iloc[0]
        assert "CPU" in row["ours"]
        theirs = row.iloc[-1]  # the book sets another apostrophe in "the blog's"
        assert theirs.startswith(seconds) and "Kaggle" in theirs


def test_speed_and_size_are_those_of_their_tables(tables):
    rivals, scaling = (pd.read_csv(run.ROOT / "benchmarks" / f"{name}.csv") for name in ("rivals", "scaling"))
    shown = {"on one thread": "CPU seconds an epoch", "on several": "seconds an epoch"}
    for where, column in shown.items():
        rows = rivals[(rivals["threads"] == 1) == (where == "on one thread")]
        own = pd.concat(having(tables, column))
        assert own[column].tolist() == [f"{s:.2f}" for s in rows["epoch_seconds"]]
        assert own["test NDCG@100"].tolist() == [f"{value:.4f}" for value in rows["ndcg@100"]]
    (sizes,) = having(tables, "minutes an epoch")
    assert sizes["interactions"].tolist() == [f"{n:,}" for n in scaling["interactions"]]
    assert scaling["interactions"].max() > 9e7 and scaling["items"].eq(100_000).all()
    assert scaling["peak_mb"].max() < 24_000
    (serving,) = having(tables, "users a second")
    measured = pd.read_csv(run.ROOT / "benchmarks" / "serving.csv")
    assert serving["milliseconds"].tolist() == [f"{ms:.2f}" for ms in measured["milliseconds"]]


def test_a_changed_notebook_changes_the_page(monkeypatch):
    before = results.page()
    recorded, changed = run.recorded, "c07_svae_sachdeva_ndcg@100"
    monkeypatch.setattr(run, "recorded", lambda notebook: {
        name: value + (name == changed) if isinstance(value, float) else value
        for name, value in recorded(notebook).items()})
    assert results.page() != before
