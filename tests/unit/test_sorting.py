"""Splitting logs of any kind and size by DuckDB: the same split whatever the log is written as."""

import sys

import numpy as np
import pandas as pd
import pytest

import vaerec as vr
from tests.conftest import random_log
from vaerec.shards.sorting import database

OPTIONS = {"n_heldout": 20, "n_shards": 8, "min_rating": 3, "targets": "temporal"}


@pytest.fixture(scope="module")
def frame():
    """Rows in random order, many of them at the same time."""
    log = random_log(2, n_users=120, n_items=40)
    return pd.DataFrame({"user": log.user_ids[log.user], "item": log.item_ids[log.item], "rating": log.rating,
                         "timestamp": log.timestamp}).sample(frac=1, random_state=0, ignore_index=True)


@pytest.fixture
def split(tmp_path):
    """Split a log in a folder of its own."""
    count = iter(range(1000))

    def split(source, **options):
        return vr.shards.from_files(source, tmp_path / str(next(count)), **OPTIONS | options)
    return split


def raw(split) -> list:
    """All of a split, by raw ids."""
    bags = [split.train.bags(number) for number in range(split.train.n_shards)]
    parts = [split.item_ids[one.items.numpy()].tolist() for one in bags]
    for part in (split.validation, split.test):
        parts.append(part.user_ids.tolist())
        parts += [split.item_ids[own].tolist() for own in part.fold_in + part.targets]
    return parts


def test_the_same_split_from_every_kind_of_log(frame, split, tmp_path):
    expected = split(frame).train.fingerprint
    frame.to_csv(tmp_path / "log.csv", index=False)
    frame.to_csv(tmp_path / "bare.dat", index=False, header=False, sep="|")
    frame.assign(review='two\nlines, "quoted"').to_csv(tmp_path / "reviews.csv.gz", index=False)
    frame.to_json(tmp_path / "log.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "log.parquet")
    for name in ("log.csv", "log.jsonl", "log.parquet"):
        assert split(tmp_path / name).train.fingerprint == expected
    assert split(tmp_path / "bare.dat", header=False).train.fingerprint == expected
    with pytest.warns(UserWarning, match="a value spans lines"):
        assert split(tmp_path / "reviews.csv.gz").train.fingerprint == expected


def test_equal_times_stay_in_the_order_of_the_file(frame, split):
    same = split(frame.assign(timestamp=0))
    order = frame[frame["rating"] >= 3].groupby("user")["item"].agg(list)
    for user, shown, hidden in zip(same.test.user_ids, same.test.fold_in, same.test.targets):
        assert same.item_ids[np.concatenate([shown, hidden])].tolist() == order[user]


@pytest.mark.parametrize("change", [
    lambda time: time + 0.25, lambda time: pd.to_datetime(time, unit="h"),
    lambda time: pd.to_datetime(time, unit="h").astype(str),
    lambda time: np.where(np.arange(len(time)) < len(time) - 1, time.astype(str), time.astype(str) + ".0")])
def test_times_of_every_kind_give_the_same_order(frame, split, change, monkeypatch):
    """Also where only the last row shows that times are fractions, in another piece of the log."""
    monkeypatch.setattr(sys.modules["vaerec.datasets.logs.frames"], "ROWS", 500)
    assert raw(split(frame.assign(timestamp=change(frame["timestamp"])))) == raw(split(frame))


def test_ids_as_text_or_numbers(frame, split, tmp_path):
    """In a text file whether ids are numbers depends on all of them."""
    frame.assign(item=frame["item"].map("é{}".format)).to_csv(tmp_path / "text.csv", index=False)
    text = split(tmp_path / "text.csv")
    assert set(text.item_ids) == {f"é{one}" for one in split(frame).item_ids}
    assert list(text.item_ids) == sorted(text.item_ids)
    frame.replace({"user": {frame["user"][0]: "007"}}).astype(str).to_csv(tmp_path / "zero.csv", index=False)
    assert all(isinstance(one, str) for one in split(tmp_path / "zero.csv").test.user_ids)


@pytest.mark.parametrize("line, message", [
    ("5,5", "Expected 4 columns, got 2"), (",5,4,3", "has no user"),
    ("5,5,x,3", "rating 'x' is not a number"),
    ("5,5,4,soon", "timestamp 'soon' is neither"), ('5,"5,4,3', "the file ends inside quotes.*quote=None"),
    ('5,"5\n",4,3', r"item '5\\n' holds a line break"),
    ("{user},{item},5,3", "repeats user {user} with item {item}")])
@pytest.mark.filterwarnings("ignore:.*spans lines")
def test_a_bad_row_is_named_by_its_line(frame, split, tmp_path, line, message):
    first = {"user": frame["user"][3], "item": frame["item"][3]}
    text = frame.to_csv(index=False) + line.format(**first) + "\n"
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(ValueError, match=f"log.csv, line {len(frame) + 2}.*{message.format(**first)}"):
        split(tmp_path / "log.csv")
    assert not [path for path in tmp_path.iterdir() if path.name != "log.csv"]


def test_words_for_nothing(frame, split, tmp_path):
    frame.astype({"user": str}).replace({"user": {str(frame["user"][0]): "NA"}}).to_csv(
        tmp_path / "log.csv", index=False)
    with pytest.warns(UserWarning, match=f"'NA' in {(frame['user'] == frame['user'][0]).sum()} rows"):
        split(tmp_path / "log.csv")
    with pytest.raises(ValueError, match="line 2 has no user"):
        split(tmp_path / "log.csv", missing=["NA"])


@pytest.mark.parametrize("limit", ["much", "1MB"])
def test_a_limit_that_is_none_or_too_small(frame, split, limit):
    with pytest.raises(ValueError, match=f"memory_limit='{limit}' is no size such as '2GB', or too small"):
        split(pd.concat([frame.assign(user=frame["user"] + 1000 * n) for n in range(20)]), memory_limit=limit)


def test_the_database_is_quiet_and_fetches_nothing(tmp_path):
    with database(tmp_path, "100MB") as connection:
        for name in ("enable_progress_bar", "autoinstall_known_extensions", "autoload_known_extensions"):
            assert connection.execute(f"SELECT current_setting('{name}')").fetchall() == [(False,)]


def test_what_is_sorted_is_spilled(split, tmp_path):
    """Two million rows with a limit that the sort alone is beyond; nothing is left beside the shards."""
    generator = np.random.default_rng(0)
    user, item = np.repeat(np.arange(40_000), 50), np.tile(np.arange(50), 40_000)
    order = generator.permutation(len(user))
    log = pd.DataFrame({"user": user, "item": item})[["user", "item"]].iloc[order]
    done = split(log, min_rating=None, memory_limit="60MB", n_shards=16)
    assert len(done.train) == 39_960 * 50
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
