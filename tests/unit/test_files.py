"""A reader's own files: what loads, what is refused and how it is named, and the Parquet cache."""

import gzip
import os
import warnings

import numpy as np
import pandas as pd
import pytest

import vaerec as vr
from vaerec.datasets.logs import cache as parquet_cache
from vaerec.datasets.logs.delimited import Delimited


@pytest.fixture
def write(tmp_path):
    """Write a file, compressed if its name says so, and return its path."""
    def write(content, name="log.csv"):
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return tmp_path / name
    return write


FULL = "user,item,rating,timestamp\nbo,7,4.5,20\nal,7,3,10\nbo,8,5,15\n"


def check_full(log):
    assert log.user_ids.tolist() == ["al", "bo"] and log.item_ids.tolist() == [7, 8]
    assert log.user.tolist() == [1, 0, 1] and log.item.tolist() == [0, 0, 1]
    assert log.rating.tolist() == [4.5, 3, 5] and log.timestamp.tolist() == [20, 10, 15]
    assert not log.official and log.origin == "unverified copy"


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "LOG.CSV"])
def test_csv(write, name):
    check_full(vr.load(write(FULL, name)))
    check_full(vr.load(str(write(FULL, name))))


def test_parquet_and_a_folder_of_shards(write, tmp_path):
    frame = pd.read_csv(write(FULL))
    frame.to_parquet(tmp_path / "log.parquet")
    check_full(vr.load(tmp_path / "log.parquet"))
    shards = tmp_path / "shards"
    (shards / "_temporary").mkdir(parents=True)
    frame.iloc[:1].to_parquet(shards / "part-0.parquet")
    frame.iloc[1:].to_parquet(shards / "part-1.snappy.parquet")
    (shards / "_SUCCESS").write_text("")
    (shards / "_temporary" / "part-2.parquet").write_text("unfinished")
    check_full(vr.load(str(shards)))


def test_other_names_separators_and_marks_at_the_start(write):
    path = write("\ufeffWhen;Who;What\n20;bo;7\n10;al;7\n15;bo;8\n")
    log = vr.load(path, user="Who", item="What", timestamp="When", separator=";")
    assert log.timestamp.tolist() == [20, 10, 15] and log.rating.tolist() == [5, 5, 5]


def test_without_times_the_file_order_is_the_time_order(write):
    assert vr.load(write("user,item\n1,5\n1,3\n")).timestamp.tolist() == [0, 1]


@pytest.mark.parametrize("ids, expected", [
    (["10", "9", "-3"], [-3, 9, 10]), (["007", "8"], ["007", "8"]), (["1.0", "2"], ["1.0", "2"]),
    (["x", "1"], ["1", "x"]), (["é", "a b"], ["a b", "é"]),
    (["99999999999999999999", "1"], ["1", "99999999999999999999"])])
def test_ids_are_kept_as_they_are(write, ids, expected):
    log = vr.load(write("user,item\n" + "".join(f"{one},1\n" for one in ids)))
    assert log.user_ids.tolist() == expected


def test_ids_of_parquet_keep_their_type(tmp_path):
    frame = pd.DataFrame({"user": [3.0, 1.0, 2.0], "item": ["1", "2", "2"]})  # whole numbers, once with a gap
    frame.to_parquet(tmp_path / "log.parquet")
    log = vr.load(tmp_path / "log.parquet")
    assert log.user_ids.tolist() == [1, 2, 3] and log.user_ids.dtype == np.int64
    assert log.item_ids.tolist() == ["1", "2"]
    frame.assign(item=frame["item"].astype("category")).to_parquet(tmp_path / "log.parquet")
    assert vr.load(tmp_path / "log.parquet").item_ids.tolist() == ["1", "2"]


def test_times_in_every_usual_form(write, tmp_path):
    def times(*texts, **options):
        rows = "".join(f"u,{item},{text}\n" for item, text in enumerate(texts))
        return vr.load(write("user,item,timestamp\n" + rows), **options).timestamp.tolist()

    second = 1_000_000
    assert times("978300760", "978302109") == [978300760, 978302109]
    assert times("2.0", "1e9") == [2, 10**9]
    assert times("1.5", "1.25") == [1.5 * second, 1.25 * second]
    assert times("1970-01-01", "1970-01-01 00:00:02.5") == [0, 2.5 * second]
    assert times("1970-01-01T01:00:00+01:00", "1970-01-01T00:00:01Z") == [0, second]
    assert times("02/01/1970", "01/01/1970", time_format="%d/%m/%Y") == [86_400 * second, 0]
    moments = pd.to_datetime(["1970-01-02", "1970-01-01"])
    for column in (moments, moments.tz_localize("UTC"), moments.astype(str), moments.date):
        frame = pd.DataFrame({"user": 1, "item": [1, 2], "timestamp": column})
        frame.to_parquet(tmp_path / "log.parquet")
        assert vr.load(tmp_path / "log.parquet").timestamp.tolist() == [86_400 * second, 0]


@pytest.mark.parametrize("text, message", [
    ("", r"log\.csv is empty: expected a header line"),
    ("user,item\n", r"log\.csv holds no interactions"),
    ("who,item\n1,2\n", r"no column 'user'; there are \['who', 'item'\].*user='who'"),
    ("user;item\n1;2\n", r"no column 'user'; there are \['user;item'\].*separator="),
    ("user,item,user\n1,2,1\n", "2 columns are called 'user'"),
    ("user,item\n1,2\n\n1,2,3\n", "line 4: Expected 2 columns, got 3"),
    ("user,item\n1,2\n\n,2\n", "line 4 has no user"),
    ("user,item\n1,2\n3,NaN\n", "line 3 has no item"),
    ("user,item,rating\n1,2,4\n1,3,\n", "line 3 has no rating"),
    ("user,item,rating\n1,2,4\n1,3,good\n1,4,\n", r"line 4 has no rating"),
    ("user,item,rating\n1,2,4\n1,3,good\n", "line 3: rating 'good' is not a number"),
    ("user,item,rating\n1,2,4\n1,3,inf\n", "line 3: rating 'inf' is not a number"),
    ("user,item,timestamp\n1,2,9\n1,3,soon\n", "line 3: timestamp 'soon' is neither a number nor an ISO"),
    ("user,item,timestamp\n1,2,3/4/2020\n", "line 2: timestamp '3/4/2020' .*time_format"),
    ("user,item,timestamp\n1,2,2020-01-01\n1,3,2020-02-30\n", "line 3: timestamp '2020-02-30'"),
    ("user,item,timestamp\n1,2,5.5\n1,3,inf\n", "line 3: timestamp 'inf'"),
    ("user,item\n1,2\n3,2\n1,2\n", "line 4 repeats user 1 with item 2.*duplicates='first'"),
    ("user,item\n1,\xe9\n".encode("latin-1"), "line 2: .*UTF8.*save the file as UTF-8"),
    ("us\xe9r,item\n1,2\n".encode("latin-1"), "line 1: .*save the file as UTF-8")])
def test_bad_files_are_refused_by_line(write, text, message):
    with pytest.raises(ValueError, match=message):
        vr.load(write(text))


def test_an_unreadable_time_far_down_is_found(write):
    rows = "".join(f"u,{item},{item}\n" for item in range(70_000))
    with pytest.raises(ValueError, match="line 70002: timestamp 'x'"):
        vr.load(write(f"user,item,timestamp\n{rows}v,1,x\n"))


def test_dates_that_do_not_fit_their_form_are_named(write):
    path = write("user,item,timestamp\n1,2,01/12/2020\n1,3,13/13/2020\n")
    with pytest.raises(ValueError, match="line 3: timestamp '13/13/2020' is not of the form '%d/%m/%Y'"):
        vr.load(path, time_format="%d/%m/%Y")


def test_bad_rows_of_shards_are_named_by_shard(tmp_path):
    for number, users in enumerate(([1, 2], [3, None, 4])):
        frame = pd.DataFrame({"user": pd.array(users, dtype="Int64"), "item": 1})
        frame.to_parquet(tmp_path / f"{number}.parquet")
    with pytest.raises(ValueError, match=r"1\.parquet, row 2 has no user"):
        vr.load(tmp_path)
    pd.DataFrame({"user": ["a"], "item": 1}).to_parquet(tmp_path / "2.parquet")
    with pytest.raises(ValueError, match=r"2\.parquet has other column types than .*0\.parquet"):
        vr.load(tmp_path)
    pd.DataFrame({"user": [1]}).to_parquet(tmp_path / "2.parquet")
    with pytest.raises(ValueError, match=r"2\.parquet: no column 'item'"):
        vr.load(tmp_path)
    (tmp_path / "2.parquet").write_bytes((tmp_path / "1.parquet").read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"2\.parquet is not a Parquet file, or it is cut off"):
        vr.load(tmp_path)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*log\.csv"):
        vr.load(tmp_path / "log.csv")
    with pytest.raises(FileNotFoundError, match="no .parquet file in the folder"):
        vr.load(tmp_path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95])
def test_a_compressed_file_that_is_cut_off(write, share):
    path = write("user,item\n" + "".join(f"{hash((n, 'u'))},{n}\n" for n in range(3000)), "log.csv.gz")
    path.write_bytes(path.read_bytes()[:int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"log\.csv\.gz is cut off or damaged.*copy it again"):
        vr.load(path)


@pytest.mark.parametrize("which, rating", [("first", 2), ("last", 3)])
def test_one_of_several_times_is_kept_by_time_not_by_place(write, which, rating):
    path = write("user,item,rating,timestamp\n1,5,1,20\n1,6,4,1\n1,5,2,10\n1,5,3,20\n")
    log = vr.load(path, duplicates=which)
    assert len(log) == 2 and log.rating[log.item == 0].tolist() == [rating]
    with pytest.raises(ValueError, match="duplicates='newest': expected one of"):
        vr.load(path, duplicates="newest")


def test_titles_come_from_a_file_of_items(write):
    path = write(FULL)
    items = write('item,title,genres\n8,"Eight, the",Drama|War\n9,Nine,\n', "items.csv")
    log = vr.load(path, items=items)
    assert log.items["title"].tolist() == ["7", "Eight, the"]
    assert log.items["genres"].tolist() == ["", "Drama|War"]
    frame = pd.DataFrame({"item": ["8", "seven"], "name": ["Eight", "x"]})  # text there, numbers here
    assert vr.load(path, items=frame, title="name").items["title"].tolist() == ["7", "Eight"]
    frame.to_parquet(items.with_suffix(".parquet"))
    assert vr.load(path, items=items.with_suffix(".parquet"), title="name").items["title"][1] == "Eight"


@pytest.mark.parametrize("text, message", [
    ("sku,title\n7,Seven\n", r"items\.csv: no column 'item'"), ("item,name\n7,x\n", "no column 'title'"),
    ("item,title\n7,a\n8,b\n7,c\n", r"items\.csv, line 4 repeats an item \('7'\)"),
    ("item,title\n7,a\n,b\n", r"items\.csv, line 3 has no item"),
    ("item,title\nA7,a\n", r"no item of .*items\.csv occurs in the log: ids there look like 'A7', .* '7'")])
def test_bad_files_of_items(write, text, message):
    with pytest.raises(ValueError, match=message):
        vr.load(write(FULL), items=write(text, "items.csv"))
    with pytest.raises(FileNotFoundError, match="no file of items"):
        vr.load(write(FULL), items="nowhere.csv")


# The Parquet cache

@pytest.fixture
def cached_log(write, monkeypatch):
    """A log whose cache is there, with text and with numbers as ids."""
    monkeypatch.setattr(parquet_cache, "WORTH_IT", 0)
    path = write(FULL)
    check_full(vr.load(path))
    return path, path.with_name("log.csv.vaerec.parquet")


def count_parses(monkeypatch) -> list:
    parses, read = [], Delimited.read
    monkeypatch.setattr(Delimited, "read", lambda *args: parses.append(args) or read(*args))
    return parses


def test_the_second_load_does_not_parse(cached_log, monkeypatch):
    path, cache = cached_log
    parses = count_parses(monkeypatch)
    check_full(vr.load(path))
    assert parses == [] and cache.is_file()
    assert sorted(path.parent.iterdir()) == [path, cache]  # no draft is left
    check_full(vr.load(path, cache=False))
    assert len(parses) == 1


def test_a_changed_source_is_parsed_again_even_with_its_old_size_and_time(cached_log, monkeypatch):
    path, _ = cached_log
    before = path.stat()
    path.write_text(FULL.replace("4.5", "1.5"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns
    parses = count_parses(monkeypatch)
    assert vr.load(path).rating.tolist() == [1.5, 3, 5] and len(parses) == 1
    assert vr.load(path).rating.tolist() == [1.5, 3, 5] and len(parses) == 1
    os.utime(path)  # touched, not changed
    assert vr.load(path).rating.tolist() == [1.5, 3, 5] and len(parses) == 1


def test_other_columns_are_not_taken_from_the_cache(cached_log):
    path, _ = cached_log
    assert vr.load(path, rating="timestamp").rating.tolist() == [20, 10, 15]
    check_full(vr.load(path))


@pytest.mark.parametrize("damage", ["cut", "other", "empty", "folder"])
def test_a_damaged_cache_is_not_trusted(cached_log, monkeypatch, damage):
    path, cache = cached_log
    content = cache.read_bytes()
    if damage == "cut":
        cache.write_bytes(content[:len(content) // 2])
    elif damage == "other":
        pd.DataFrame({"user": [1]}).to_parquet(cache)
    elif damage == "empty":
        cache.write_bytes(b"")
    else:
        cache.unlink()
        cache.mkdir()
    parses = count_parses(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_full(vr.load(path))
    assert len(parses) == 1


def test_no_flipped_bit_of_the_cache_reaches_the_data(cached_log):
    path, cache = cached_log
    content = cache.read_bytes()
    for place in range(0, len(content), 23):
        cache.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1:])
        check_full(vr.load(path))


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left")])
def test_where_no_cache_can_be_written_the_log_loads_all_the_same(write, monkeypatch, error):
    monkeypatch.setattr(parquet_cache, "WORTH_IT", 0)
    path = write(FULL)

    def refuse(table, draft, **_):
        with open(draft, "wb") as file:
            file.write(b"half")
        raise error

    monkeypatch.setattr(parquet_cache.pq, "write_table", refuse)
    with pytest.warns(UserWarning, match=f"no cache can be kept .*{error.strerror}"):
        check_full(vr.load(path))
    assert list(path.parent.iterdir()) == [path]


def test_remains_of_killed_processes_are_removed_when_they_are_old(cached_log):
    path, cache = cached_log
    old, new = (path.parent / f".{cache.name}.{name}.part" for name in ("old", "new"))
    for draft in (old, new):
        draft.write_bytes(b"half")
    os.utime(old, (0, 0))
    path.write_text(FULL.replace("4.5", "1.5"))
    vr.load(path)
    assert not old.exists() and new.exists()  # another process may be writing the new one


def test_a_bad_row_is_named_also_when_the_columns_come_from_the_cache(write, monkeypatch):
    monkeypatch.setattr(parquet_cache, "WORTH_IT", 0)
    path = write("user,item\n1,2\n\n1,2\n")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"log\.csv, line 4 repeats user 1 with item 2"):
            vr.load(path)
    assert len(vr.load(path, duplicates="first")) == 1
