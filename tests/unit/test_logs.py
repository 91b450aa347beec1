"""What people bring: quotes and lines, forms of text, JSON, frames, odd times, words for nothing."""

import csv
import gzip
import io
import json
import os
import re
import warnings
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import vaerec as vr
from tests.conftest import random_log
from vaerec.datasets.logs import cache, delimited

ROWS = [("bo", 7, 4.5, 20), ("al", 7, 3, 10), ("bo", 8, 5, 15)]


@pytest.fixture
def write(tmp_path):
    """Write a file, packed if its name says so, and return its path."""
    def write(content, name="log.csv"):
        content = content if isinstance(content, bytes) else content.encode()
        if name.endswith(".zip"):
            with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(name.removesuffix(".zip"), content)
        else:
            (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return tmp_path / name
    return write


def check_rows(log):
    assert log.user_ids.tolist() == ["al", "bo"] and log.item_ids.tolist() == [7, 8]
    assert log.user.tolist() == [1, 0, 1] and log.item.tolist() == [0, 0, 1]
    assert log.rating.tolist() == [4.5, 3, 5] and log.timestamp.tolist() == [20, 10, 15]


def text(separator=",", header="user,item,rating,timestamp"):
    lines = [header.split(",")] if header else []
    return "".join(separator.join(map(str, row)) + "\n" for row in lines + ROWS)


# -- quotes and lines: no row is lost without a word ------------------------------------------------

LOST = "user,item,name\n1,a,{}heroes\n2,b,abba\n3,c,x\n".format


@pytest.mark.parametrize("rows", [1, 50_000])
@pytest.mark.parametrize("content, name", [
    (LOST('"'), "log.csv"), (LOST('"').replace(",", "\t"), "log.tsv"), (LOST('"').rstrip("\n"), "log.csv"),
    ('user,item,name\n1,a,x\n2,b,"', "log.csv"), ('user,item,name\n1,a,x\n2,b,"x', "log.csv"),
    ('user,name,item\n1,x,a\n2,y,"b\n', "log.csv"), (LOST('"') + '4,d,"y"\n', "log.csv")])
def test_a_quote_that_is_never_closed_is_refused_by_line(write, content, name, rows):
    separator = "\t" if "\t" in content else ","
    before = "".join(f"{n}{separator}z{separator}z\n" for n in range(10, 10 + rows))
    head, _, rest = content.partition("\n")
    line = 2 + rows + next(place for place, one in enumerate(rest.split("\n")) if '"' in one)
    with pytest.raises(ValueError, match=rf"{name}, line {line}: .*quote=None"):
        vr.load(write(f"{head}\n{before}{rest}", name))


def test_without_quotes_nothing_is_lost(write):
    log = vr.load(write(LOST('"')), quote=None)
    assert len(log) == 3 and log.user_ids.tolist() == [1, 2, 3]
    assert vr.load(write('user,item\n1,"a"\n2,a\n'), quote=None).item_ids.tolist() == ['"a"', "a"]


def test_an_id_with_a_line_break_is_refused(write, tmp_path):
    path = write('user,item,name\n1,x,y\n1,"a\n2,b",c\n3,c,x\n')
    with pytest.raises(ValueError, match=r"log.csv, line 3: item 'a\\n2,b' holds a line break.*quote=None"), \
            pytest.warns(UserWarning, match="first from line 3 to 4"):
        vr.load(path)
    with pytest.raises(ValueError, match=r"the table, row 2: user 'b\\n' holds a line break"):
        vr.load(pd.DataFrame({"user": ["a", "b\n"], "item": [1, 1]}))


def test_two_stray_quotes_that_pair_are_told(write):
    path = write('user,item,name\n1,a,"heroes\n2,b,abba"\n3,c,x\n')
    with pytest.warns(UserWarning, match="1 of 2 rows, first from line 2 to 3; .*quote=None"):
        assert len(vr.load(path)) == 2
    assert len(vr.load(path, quote=None)) == 3


def test_what_follows_a_closed_quote_is_not_glued_to_it(write):
    with pytest.raises(ValueError, match="line 3: .*quote=None"):
        vr.load(write('user,item\n1,x\n1,"a"b\n2,ab\n'))


def test_quotes_inside_of_fields_are_characters(write):
    log = vr.load(write('user,item\n1,12" single\n1,say ""hi""\n2,"the ""best"", live"\n'))
    assert log.item_ids.tolist() == ['12" single', 'say ""hi""', 'the "best", live']


def test_lines_are_those_of_the_file(write):
    content = 'user,item,review,rating\n1,a,"good\nbook\nvery",4\n2,b,bad,{}\n'
    with pytest.warns(UserWarning, match="first from line 2 to 4"):
        assert vr.load(write(content.format(3))).rating.tolist() == [4, 3]
    for value, message in (("oops", "rating 'oops' is not a number"), ("", "no rating")):
        with pytest.raises(ValueError, match=f"line 5.*{message}"), pytest.warns(UserWarning, match="lines"):
            vr.load(write(content.format(value)))
    with pytest.raises(ValueError, match="line 5: Expected 4 columns, got 5"):
        vr.load(write(content.format("3,3")))


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end(write, ends):
    check_rows(vr.load(write(text().replace("\n", ends))))
    with pytest.raises(ValueError, match="line 4: rating 'x'"):
        vr.load(write('user,item,rating\n1,"a",1\n\n1,b,x\n'.replace("\n", ends)))


def test_valid_line_breaks_load_at_any_size(write, monkeypatch):
    """Against Python's csv, where blocks end inside of values, too."""
    generator = np.random.default_rng(0)
    words = ["plain", 'two\nlines', 'say "hi"', "a,b", "\r\n", "", "é\n\n\"", "x" * 40]
    buffer = io.StringIO()
    rows = [(f"u{n}", f"i{n % 7}", words[generator.integers(len(words))], int(generator.integers(5)))
            for n in range(3000)]
    pd.DataFrame(rows, columns=["user", "item", "review", "rating"]).to_csv(buffer, index=False)
    path = write(buffer.getvalue())
    for block in (64, 1000, 2**23):
        monkeypatch.setattr(delimited, "BLOCK", block)
        with pytest.warns(UserWarning, match="a value spans lines"):
            log = vr.load(path)
        assert [*zip(log.user_ids[log.user], log.item_ids[log.item], log.rating)] == [
            (user, item, rating) for user, item, _, rating in rows]


def test_any_text_is_read_as_python_reads_it_or_refused(write):
    """A thousand files of odd fields: never other rows than those of `csv`; no line is lost in silence."""
    generator, loaded, warned = np.random.default_rng(0), 0, 0
    fields = ["a", "", '"a"', '"a,b"', '"x\ny"', 'a"b', '""', '"say ""hi"""', '"', '"a"b', "a\n"]
    weights = np.array([8, 2, 8, 4, 2, 2, 2, 2, 0.3, 0.3, 0.3])
    for _ in range(1000):
        odd = generator.choice(fields, generator.integers(1, 9), p=weights / weights.sum())
        body = "".join(f"{n},{field},{n}\n" for n, field in enumerate(odd))
        body = body.removesuffix("\n") if generator.random() < 0.3 else body
        path = write("user,name,item\n" + body)
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                log = vr.load(path)
        except ValueError:
            continue
        loaded, warned = loaded + 1, warned + bool(said)
        rows = [row for row in csv.reader(io.StringIO(body, newline=""), strict=True) if row]
        assert [*zip(log.user_ids[log.user].astype(str), log.item_ids[log.item].astype(str))] == [
            (row[0], row[2]) for row in rows]
        assert said or len(log) == len(body.split("\n")) - body.endswith("\n")
    assert loaded > 400 and warned > 50


def test_reviews_longer_than_the_csv_module_likes(write):
    long = "x" * 200_000 + "\n" + "y" * 200_000
    with pytest.warns(UserWarning, match="spans lines"):
        assert len(vr.load(write(f'user,item,review\n1,a,"{long}"\n2,b,z\n'))) == 2


# -- forms of text --------------------------------------------------------------------------------

@pytest.mark.parametrize("name, separator", [
    ("log.tsv", "\t"), ("log.txt", "|"), ("log.txt", "::"), ("ratings.dat", "::"), ("u.data", "\t"),
    ("LOG.TSV.GZ", "\t"), ("log.csv.zip", ","), ("log.dat.gz", ";")])
def test_the_separator_follows_from_the_name_or_the_first_line(write, name, separator):
    path = write(text(separator), name.lower())
    check_rows(vr.load(path.rename(path.with_name(name))))


@pytest.mark.parametrize("separator", ["::", "§", "<sep>", "|", " "])
@pytest.mark.parametrize("size", [1, 2, 3, 2**23])
def test_separators_of_several_characters(write, separator, size, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK", max(size, 100))
    check_rows(vr.load(write(text(separator)), separator=separator))
    check_rows(vr.load(write(text(separator).encode("utf-16")), separator=separator, encoding="utf-16"))


def test_separators_are_whole_wherever_blocks_end():
    from vaerec.datasets.logs.streams import Text

    content = "a::b:::c::::d:\n:e::"
    for size in range(1, 9):
        stream, blocks = Text(io.BytesIO(content.encode()), "x", "utf-8", "::"), [b"-"]
        while blocks[-1]:
            blocks.append(stream.read(size))
        assert b"".join(blocks[1:]).decode() == content.replace("::", "\x1f")


def test_a_separator_that_cannot_be_told_is_asked_for(write):
    for line in ("user item\n1 2\n", "user;item,x\n1;2,3\n"):
        with pytest.raises(ValueError, match=r"log.txt: 'user.* does not tell .*separator='\\t'"):
            vr.load(write(line, "log.txt"))
    with pytest.raises(ValueError, match="separator='\"'"):
        vr.load(write(text()), separator='"')


def test_files_without_a_header(write):
    check_rows(vr.load(write(text("::", header=""), "ratings.dat"), header=False))
    path = write("4.5,20,bo,7\n3,10,al,7\n5,15,bo,8\n")
    check_rows(vr.load(path, columns=["rating", "timestamp", "user", "item"]))
    log = vr.load(path, columns=["stars", "when", "who", "what"], user="who", item="what", timestamp="when")
    assert log.timestamp.tolist() == [20, 10, 15]
    assert len(vr.load(write("1,2\n3,4\n"), header=False)) == 2
    with pytest.raises(ValueError, match="line 2: rating 'x'"):
        vr.load(write("1,2,3,4\n1,3,x,4\n"), header=False)


@pytest.mark.parametrize("content, options, message", [
    ("AKM1,B2,5.0,1406073600\nAKM2,B2,3.0,1406073601\n", {},
     r"log.csv: no column 'user', and its first line looks like data.*No header line\?.*columns="),
    ("1,2,3\n4,5,6\n", {"header": False}, "header=False is enough.*there are 3.*columns="),
    ("1,2,3\n4,5,6\n", {"columns": ["user", "item"]}, "are 2, but the first line has 3"),
    ("user,item\n4,5\n", {"columns": ["user", "item"]}, "first line holds the names"),
    ("4,5\n", {"columns": "user,item"}, "expected a list of names")])
def test_headers_that_are_not_what_was_said(write, content, options, message):
    with pytest.raises(ValueError, match=message) as error:
        vr.load(write(content), **options)
    assert "AKM1'" not in str(error.value).partition("No header")[2]


def test_names_with_types_as_in_recbole(write):
    content = text("\t", "user_id:token,item_id:token,rating:float,timestamp:float")
    check_rows(vr.load(write(content, "ml.inter")))
    check_rows(vr.load(write(content, "ml.inter"), user="user_id", item="item_id"))
    typed = write("who:token\titem_id:token\n1\t2\n", "x.inter")
    assert len(vr.load(typed, user="who")) == 1
    with pytest.raises(ValueError, match="no column 'user'; there are"):
        vr.load(typed)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-8-sig", "shift_jis"])
def test_encodings(write, encoding):
    one = "ジブリ" if encoding == "shift_jis" else "Amélie"
    path = write(f"user,item\n1,{one}\n2,x\n".encode(encoding))
    assert sorted(vr.load(path, encoding=encoding).item_ids) == sorted([one, "x"])


def test_encodings_that_are_not_the_file_s(write):
    with pytest.raises(ValueError, match="line 3: invalid UTF8.*encoding=, such as 'latin-1'"):
        vr.load(write("user,item\n1,a\n1,é\n".encode("latin-1")))
    with pytest.raises(ValueError, match="line 3: not shift_jis"):
        vr.load(write(b"user,item\n1,a\n1,\xfd\xff\n"), encoding="shift_jis")
    with pytest.raises(ValueError, match="is not UTF-8: give encoding='utf-16'"):
        vr.load(write("user,item\n1,a\n".encode("utf-16")))
    with pytest.raises(ValueError, match="encoding='utf-99'"):
        vr.load(write(text()), encoding="utf-99")


def test_escapes(write):
    path = write('user,item\n1,a\\,b\n2,"say \\"hi\\""\n')
    assert vr.load(path, escape="\\").item_ids.tolist() == ["a,b", 'say "hi"']
    with pytest.raises(ValueError, match="escape='ab'"):
        vr.load(path, escape="ab")


def test_archives(write, tmp_path):
    path = write(text(), "log.csv.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/log.csv", "x")
        archive.writestr("README.md", "x")
    check_rows(vr.load(path))
    content = path.read_bytes()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.csv", "x")
    with pytest.raises(ValueError, match=r"holds 2 tables \['log.csv', 'other.csv'\], expected one"):
        vr.load(path)
    path.write_bytes(content[:40])
    with pytest.raises(ValueError, match="is cut off or damaged"):
        vr.load(path)


def test_a_packed_file_whose_checksum_is_wrong(write):
    for name in ("log.csv.gz", "log.csv.zip", "log.jsonl.gz"):
        rows = "".join(json.dumps({"user": n, "item": n}) + "\n" if "json" in name else f"{n},{n}\n"
                       for n in range(3000))
        path = write(rows if "json" in name else "user,item\n" + rows, name)
        content = bytearray(path.read_bytes())
        content[len(content) // 2 if name.endswith("zip") else -6] ^= 1
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}.* is cut off or damaged"):
            vr.load(path)


def test_unknown_endings(write):
    with pytest.raises(ValueError, match=r"log.xls: expected a file that ends in .csv, .*\.parquet"):
        vr.load(write("x", "log.xls"))
    path = write("", "part-0")
    pd.DataFrame({"user": [1], "item": [2]}).to_parquet(path)
    assert len(vr.load(path)) == 1


# -- JSON -----------------------------------------------------------------------------------------

RECORDS = [dict(zip(("user", "item", "rating", "timestamp"), row)) for row in ROWS]


@pytest.mark.parametrize("name", ["log.jsonl", "log.json", "log.jsonl.gz", "log.ndjson", "log.json.zip"])
def test_json_lines_and_lists(write, name):
    check_rows(vr.load(write("".join(json.dumps(one) + "\n\n" for one in RECORDS), name)))
    check_rows(vr.load(write(json.dumps(RECORDS, indent=1), name)))


@pytest.mark.parametrize("content, message", [
    ("", "is empty: expected one object a line"), ("[]", "is empty"),
    ('{"user": 1, "item": 2}\n\n{"user": 1, "item": }\n', "line 3: Expecting value"),
    ('{"user": 1, "item": 2}\n[1, 2]\n', "line 2: .* is no object"),
    ('{"user": 1, "item": 2}\n{"user": "b", "item": 2}\n', "line 2: user is 'b': expected .* like the rows"),
    ('{"user": 1, "item": 2}\n{"user": true, "item": 2}\n', "line 2: user is True"),
    ('{"user": {"0": 1}, "item": {"0": 1}}\n', "line 1: user is {'0': 1}"),
    ('{"user": 1, "item": 2}\n{"user": 1}\n', "line 2 has no item"),
    ("{'user': 1, 'item': 2}\n", "line 1: Expecting property name"),
    ('{"user": 1, "sku": 2}\n', r"no column 'item'; there are \['user', 'sku'\]"),
    ('{"user": 1, "item": 2, "rating": "good"}\n', "line 1: rating 'good' is not a number")])
def test_json_that_cannot_be_read(write, content, message):
    with pytest.raises(ValueError, match=message):
        vr.load(write(content, "log.json"))


def test_long_numbers_in_json_stay_different(write):
    ids = [10**20, 10**20 + 1]
    path = write("".join(json.dumps({"user": 1, "item": one}) + "\n" for one in ids), "log.jsonl")
    assert vr.load(path).item_ids.tolist() == [str(one) for one in ids]


# -- frames ---------------------------------------------------------------------------------------

def test_frames_and_arrow_tables():
    frame = pd.DataFrame(RECORDS)
    check_rows(vr.load(frame))
    check_rows(vr.load(pa.Table.from_pandas(frame)))
    check_rows(vr.load(frame.astype({"user": "category", "item": object})))
    other = frame.rename(columns={"user": "who", "item": 0})
    check_rows(vr.load(other, user="who", item=0))
    log = vr.load(frame[["user", "item"]], items=pd.DataFrame({"item": [7], "title": ["Seven"]}))
    assert log.rating.tolist() == [5, 5, 5] and log.items["title"].tolist() == ["Seven", "8"]


class Foreign:
    """A frame of another library, as polars' are to us."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def test_frames_of_other_libraries():
    types = {"user": pa.string_view() if hasattr(pa, "string_view") else pa.large_string()}
    table = pa.Table.from_pylist(RECORDS)
    table = table.set_column(0, "user", pa.array(table["user"].to_pylist(), types["user"]))
    check_rows(vr.load(Foreign(table)))


@pytest.mark.parametrize("change, message", [
    ({"user": ["a", 1]}, r"column 'user' holds int, str: expected one type.*astype\(str\)"),
    ({"user": [[1], [2]]}, "user ids of type list"), ({"user": [True, False]}, "user ids of type bool"),
    ({"user": ["a", None]}, "the table, row 2 has no user"),
    ({"user": [1.0, 2.0**53]}, "have lost digits; read them as whole numbers or as text"),
    ({"rating": [1, 1e39]}, "row 2: rating 1e[+]39 is not a number, or too large"),
    ({"rating": [1, np.nan]}, "row 2 has no rating"),
    ({"item": [1, 1], "user": [1, 1]}, "row 2 repeats user 1"),
    ({"timestamp": [pd.Timedelta(1), pd.Timedelta(2)]}, "of type duration.*: expected dates or numbers")])
def test_frames_that_cannot_be_read(change, message):
    frame = pd.DataFrame({"user": ["a", "b"], "item": [1, 2], "rating": [4.0, 5.0]}).assign(**change)
    with pytest.raises(ValueError, match=message):
        vr.load(frame)


def test_a_column_that_is_the_index():
    frame = pd.DataFrame(RECORDS).groupby(["user", "item"]).max()
    with pytest.raises(ValueError, match=r"no column 'user'.*The index has it: call reset_index\(\)"):
        vr.load(frame)


def test_what_is_no_log():
    with pytest.raises(TypeError, match="cannot load list: expected .* a DataFrame or Arrow table"):
        vr.load([1, 2])


def test_ids_of_odd_types():
    frame = pd.DataFrame({"user": [b"x", b"y"], "item": [1, 2]})
    assert vr.load(frame).user_ids.tolist() == ["x", "y"]
    decimals = pa.table({"user": pa.array([1, 2]).cast(pa.decimal128(38, 0)), "item": [1, 2]})
    assert vr.load(decimals).user_ids.tolist() == [1, 2]
    with pytest.raises(ValueError, match="ids of type binary are no text"):
        vr.load(pd.DataFrame({"user": [b"\xff", b"y"], "item": [1, 2]}))


# -- words for nothing ----------------------------------------------------------------------------

def test_words_that_look_like_nothing_are_names_with_a_warning(write):
    path = write("user,item\nNone,1\nnull,1\nNA,1\nbo,1\nNA,2\n")
    with pytest.warns(UserWarning, match="user ids such as 'None', 'null', 'NA' in 4 rows .*missing") as said:
        log = vr.load(path)
    assert len(said) == 1 and log.user_ids.tolist() == ["NA", "None", "bo", "null"]
    with pytest.warns(UserWarning, match="4 of 5 rows lack a value and are dropped"):
        assert len(vr.load(path, missing=["NA", "None", "null"], drop_missing=True)) == 1
    with pytest.warns(UserWarning, match="'None', 'null' in 2"), pytest.raises(ValueError, match="line 4"):
        vr.load(path, missing=["NA"])
    with pytest.warns(UserWarning, match="'nan', '' in 2 rows"):
        vr.load(pd.DataFrame({"user": ["nan", "", "x"], "item": [1, 1, 1]}))


def test_words_for_nothing_are_none_in_ratings_and_times(write):
    for word in ("NA", "None", "null", "NULL", "N/A", "nan", "<NA>", "-"):
        missing = [word] if word == "-" else []
        for row in (f"1,2,{word},5", f"1,2,5,{word}"):
            path = write(f"user,item,rating,timestamp\n1,1,1,1\n{row}\n2,2,2,2\n")
            with pytest.raises(ValueError, match="line 3 has no (rating|timestamp)"):
                vr.load(path, missing=missing)
            with pytest.warns(UserWarning, match="1 of 3 rows lack a value"):
                log = vr.load(path, missing=missing, drop_missing=True)
            assert log.user_ids.tolist() == [1, 2]


def test_rows_keep_their_lines_where_others_are_dropped(write):
    path = write("user,item\n1,\n\n2,2\n2,2\n")
    with pytest.raises(ValueError, match="line 5 repeats user 2"), pytest.warns(UserWarning, match="1 of 3"):
        vr.load(path, drop_missing=True)


def test_spaces_around_ids_are_told(write):
    with pytest.warns(UserWarning, match="item ids such as ' b' in 2 rows begin or end with a space"):
        assert vr.load(write("user,item\n1, b\n2, b\n1,b\n")).item_ids.tolist() == [" b", "b"]


def test_min_rating(write):
    log = vr.load(write(text()), min_rating=4)
    assert log.rating.tolist() == [4.5, 5] and log.user_ids.tolist() == ["bo"]
    with pytest.raises(ValueError, match="min_rating=4, but .* has no column 'rating': say with rating="):
        vr.load(write("user,item,stars\n1,2,5\n"), min_rating=4)
    with pytest.raises(ValueError, match="missing='NA': expected a list"):
        vr.load(write(text()), missing="NA")


# -- times ----------------------------------------------------------------------------------------

def times(*values, **options):
    frame = pd.DataFrame({"user": "u", "item": range(len(values))})
    return vr.load(frame.assign(timestamp=values), **options).timestamp.tolist()


SECOND = 10**6


def test_units_and_forms_of_time():
    for unit in (1, 1_000, SECOND):  # seconds, milliseconds, microseconds
        assert times(978300760 * unit, 978300759 * unit) == [978300760 * unit, 978300759 * unit]
    assert times("2001-02-03 04:05:06.123456789", "2001-02-03") == [
        981173106_123456789, 981158400_000000000]
    assert times("2001-02-03T04:05:06Z") == [981173106 * SECOND]
    assert times(date(1970, 1, 2)) == [86_400 * SECOND]
    assert times(pd.Timestamp("1970-01-01 00:00:00.000000001")) == [1]
    assert times("02.01.1970 00:00:01.5", time_format="%d.%m.%Y %H:%M:%S.%f") == [86_401.5 * SECOND]
    assert times("Jan 2 1970 1AM +0100", time_format="%b %d %Y %I%p %z") == [86_400 * SECOND]
    assert times(19700102, time_format="%Y%m%d") == [86_400 * SECOND]


@pytest.mark.parametrize("values, options, message", [
    ((5, 2**63), {}, "row 2: timestamp 9223372036854775808 is not a number that fits"),
    ((1.5, 1e13), {}, "row 2: timestamp 10000000000000.0 is not a number that fits"),
    (("5", "99999999999999999999"), {}, "row 2: timestamp '99999999999999999999' is not a number that fits"),
    (("1", "1e400"), {}, "row 2: timestamp '1e400'"),
    (("2020-01-01", "2020-01-01 25:00:00"), {}, "row 2: timestamp '2020-01-01 25:00:00'"),
    (("01/02/2020", "31/02/2020"), {"time_format": "%d/%m/%Y"}, "row 2: timestamp '31/02/2020' is not of"),
    (("01/02/2020", "01/02/2020 x"), {"time_format": "%d/%m/%Y"}, "row 2: timestamp '01/02/2020 x'")])
def test_times_that_do_not_fit_are_refused(values, options, message):
    with pytest.raises(ValueError, match=message):
        times(*values, **options)


def test_moments_that_do_not_fit_are_refused():
    late = pa.array([0, 2**50], pa.timestamp("s"))
    with pytest.raises(ValueError, match="row 2: timestamp .* does not fit into microseconds"):
        vr.load(pa.table({"user": [1, 2], "item": [1, 1], "timestamp": late}))


def test_two_units_in_one_column_are_told():
    with pytest.warns(UserWarning, match="some in seconds and others in milliseconds"):
        times(978300760, 978300760_000)


# -- the cache ------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600])
def test_who_can_read_the_data_can_read_its_cache(write, monkeypatch, mode):
    monkeypatch.setattr(cache, "WORTH_IT", 0)
    path = write(text())
    path.chmod(mode)
    before = os.umask(0o077)
    try:
        vr.load(path)
    finally:
        os.umask(before)
    kept = path.with_name("log.csv.vaerec.parquet").stat()
    assert kept.st_mode & 0o777 == mode and kept.st_gid == path.stat().st_gid


def test_what_was_said_is_said_again_from_the_cache(write, monkeypatch):
    monkeypatch.setattr(cache, "WORTH_IT", 0)
    path = write("user,item\nNA,1\nbo,1\n")
    for _ in range(2):
        with pytest.warns(UserWarning, match="'NA' in 1 rows") as said:
            assert len(vr.load(path)) == 2
        assert len(said) == 1
    assert path.with_name("log.csv.vaerec.parquet").exists()


def test_another_dialect_is_not_taken_from_the_cache(write, monkeypatch):
    monkeypatch.setattr(cache, "WORTH_IT", 0)
    path = write('user,item\n1,"a"\n2,b\n')
    assert vr.load(path).item_ids.tolist() == ["a", "b"]
    assert vr.load(path, quote=None).item_ids.tolist() == ['"a"', "b"]


# -- what the chapter on the reader's own data says ------------------------------------------------

CHAPTER = Path(__file__).parents[2] / "notebooks" / "A2-your-own-data.ipynb"


def chapter() -> str:
    cells = json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def test_files_of_the_netflix_prize_by_the_lines_of_the_chapter(write, monkeypatch):
    days = "2005-09-06", "2005-05-13", "2005-09-05"
    path = write("1:\n1488844,3,{}\n822109,5,{}\n2:\n822109,4,{}\n".format(*days), "combined_data_1.txt")
    with pytest.raises(ValueError, match="Netflix Prize: the chapter on your own data"):
        vr.load(path)
    blocks = re.findall(r"```python\n(.*?)```", chapter(), re.DOTALL)
    (code,) = (block for block in blocks if path.name in block)
    monkeypatch.chdir(path.parent)
    log = eval_of(code, "log")
    assert log.user_ids[log.user].tolist() == [1488844, 822109, 822109]
    assert log.item_ids[log.item].tolist() == [1, 1, 2] and log.rating.tolist() == [3, 5, 4]
    assert log.timestamp.tolist() == [pd.Timestamp(day).value // 1000 for day in days]


def eval_of(code: str, name: str):
    names = {"pd": pd, "vr": vr}
    exec(code, names)
    return names[name]


@pytest.mark.parametrize("row, ratings", [
    ("none: each row", None), ("one to five", (1, 6)), ("likes, 0 or 1", (0, 2)), ("0 to 10", (0, 11))])
def test_each_scale_of_the_chapter_goes_through_the_protocol(row, ratings):
    (line,) = (line for line in chapter().splitlines() if line.startswith(f"| {row}"))
    (call,) = re.findall(r"`SACHDEVA_2019\(log(.*)\)`", line)
    log, generator = random_log(3, n_users=80, n_items=60, share=0.6), np.random.default_rng(0)
    frame = pd.DataFrame({"user": log.user, "item": log.item, "timestamp": log.timestamp})
    if ratings:
        frame["rating"] = generator.integers(*ratings, len(frame))
    least = int(re.findall(r"min_rating=(\d)", f"{call}, min_rating=4")[0])
    liked = (frame["rating"] >= least).sum() if ratings else len(frame)
    split = eval(f"vr.protocols.SACHDEVA_2019(log{call}, n_heldout=20)", {"log": vr.load(frame), "vr": vr})
    assert split.describe()[["shown", "targets"]].to_numpy().sum() == liked > 1000


def test_the_calls_of_the_chapter_read_such_files(write, monkeypatch):
    files = {"header": text("::", header=""), "separator": text("::"), "UTF-8": text() + "é,7,3,1\n",
             "ordinary": text("\t") + 'x\t"a\t3\t1\n', "no value": text("\t") + "\\N\t7\t3\t1\n",
             "dates": "user,item,timestamp\n1,2,31/12/2020\n"}
    for what, content in files.items():
        (line,) = (line for line in chapter().splitlines() if what in line and "vr.load" in line)
        (call,) = re.findall(r'`(vr\.load\("(.*?)".*\))`', line)
        monkeypatch.chdir(write(content.encode("latin-1"), call[1]).parent)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*dropped")
            log = eval(call[0], {"vr": vr})
        assert len(log) == content.count("\n") - (what != "header") - (what == "no value")
