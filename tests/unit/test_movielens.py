"""MovieLens files: parsing, titles, and files that are missing or damaged."""

import dataclasses
import hashlib
import zipfile

import numpy as np
import pytest

import vaerec as vr
from vaerec.datasets import movielens, movielens_tables
from vaerec.datasets.logs import cache as parquet_cache


def test_ml_1m_is_complete(ml_1m):
    assert (ml_1m.n_users, ml_1m.n_items, len(ml_1m)) == (6040, 3706, 1_000_209)
    assert ml_1m.user_ids[0] == 1 and ml_1m.timestamp.min() >= 0
    assert set(np.unique(ml_1m.rating)) == {1, 2, 3, 4, 5}


def test_a_folder_on_disk_is_an_unverified_copy(ml_1m):
    assert not ml_1m.official
    assert "unverified copy" in repr(ml_1m)


def test_titles_are_decoded_turned_round_and_have_genres(ml_1m):
    items = ml_1m.items.set_index("item")
    assert items.title[2571] == "The Matrix (1999)"
    assert items.title[73] == "Les Misérables (1995)"
    assert items.genres[2571] == "Action|Sci-Fi|Thriller"


def test_ml_100k_is_complete(ml_100k):
    assert (ml_100k.n_users, ml_100k.n_items, len(ml_100k)) == (943, 1682, 100_000)
    items = ml_100k.items.set_index("item")
    assert items.title[50] == "Star Wars (1977)"
    assert items.genres[50] == "Action|Adventure|Romance|Sci-Fi|War"


@pytest.mark.parametrize("title, turned", [
    ("Matrix, The (1999)", "The Matrix (1999)"),
    ("Bug's Life, A (1998)", "A Bug's Life (1998)"),
    ("Atalante, L' (1934)", "L'Atalante (1934)"),
    ("I, the Jury (1953)", "I, the Jury (1953)"),
])
def test_articles(title, turned):
    assert movielens_tables.turn_article(title) == turned


def test_users_of_ml_1m(ml_1m):
    users = movielens.load_users("ml-1m")
    assert users.columns.tolist() == ["user", "gender", "age", "occupation"]
    assert users["user"].tolist() == ml_1m.user_ids.tolist()
    assert users["gender"].value_counts().to_dict() == {"M": 4331, "F": 1709}  # GroupLens's own counts
    assert users.iloc[0].tolist() == [1, "F", "Under 18", "K-12 student"]
    assert set(users["age"]) == set(movielens.AGE_GROUPS.values())


def test_users_of_ml_100k_are_in_the_same_age_groups(ml_100k):
    users = movielens.load_users("ml-100k").set_index("user")
    assert users.index.tolist() == ml_100k.user_ids.tolist()
    assert users.loc[[1, 7, 30, 33], "age"].tolist() == ["18-24", "56+", "Under 18", "18-24"]
    assert users.loc[1].tolist() == ["M", "18-24", "technician"]


def test_users_that_are_not_known_or_not_readable(tiny_release):
    with pytest.raises(ValueError, match="'synthetic' says nothing about its users.*ml-100k, ml-1m"):
        movielens.load_users("synthetic")
    with pytest.raises(FileNotFoundError, match="users.dat"):
        movielens.load_users("ml-1m")
    (tiny_release / "users.dat").write_text("1::F::1::10::48067\n2::M::57::3::5\n")
    with pytest.raises(ValueError, match="line 2: expected UserID.*found '2::M::57::3::5'"):
        movielens.load_users("ml-1m")
    (tiny_release / "users.dat").write_text("2::M::56::16::70072\n1::F::1::10::48067\n")
    assert movielens.load_users("ml-1m")["occupation"].tolist() == ["K-12 student", "self-employed"]


@pytest.fixture
def tiny_release(tmp_path, monkeypatch):
    """A release of six invented ratings, and the paths of its files."""
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    rows = [f"{u}::{i}::4::{t}" for t, (u, i) in enumerate([(1, 7), (1, 8), (2, 7), (2, 9), (3, 8), (3, 9)])]
    (folder / "ratings.dat").write_text("\n".join(rows) + "\n")
    (folder / "movies.dat").write_text("7::Invented, The (2001)::Drama\n8::Second (2002)::Comedy\n"
                                       "9::Third (2003)::Drama|War\n", "latin-1")
    monkeypatch.setenv("VAEREC_DATA", str(tmp_path))
    layout = dataclasses.replace(movielens.LAYOUTS["ml-1m"], n_ratings=6, urls=("http://127.0.0.1:9/ml-1m.zip",))
    monkeypatch.setitem(movielens.LAYOUTS, "ml-1m", layout)
    return folder


def test_a_small_release_loads(tiny_release):
    log = vr.load("ml-1m")
    assert (log.n_users, log.n_items, len(log)) == (3, 3, 6)
    assert log.items.title[0] == "The Invented (2001)"


def test_a_truncated_file_is_refused(tiny_release):
    path = tiny_release / "ratings.dat"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))
    with pytest.raises(ValueError, match="holds 4 ratings, expected 6.*truncated"):
        vr.load("ml-1m")


@pytest.mark.parametrize("damage, message", [
    ("3::8::4", "line 6: expected user::item::rating::timestamp, found '3::8::4'"),
    ("3::8::four::5", "line 6: .*found '3::8::four::5'"),
    ("3::8::9::5", "line 6: rating 9 is not 1 to 5"),
])
def test_a_damaged_row_is_named(tiny_release, damage, message):
    path = tiny_release / "ratings.dat"
    path.write_text("\n".join([*path.read_text().splitlines()[:-1], damage]))
    with pytest.raises(ValueError, match=message):
        vr.load("ml-1m")


def test_an_empty_file_is_refused(tiny_release):
    (tiny_release / "ratings.dat").write_text("")
    with pytest.raises(ValueError, match="empty"):
        vr.load("ml-1m")


@pytest.fixture
def places(tmp_path) -> movielens.Places:
    return movielens.Places(tmp_path / "data", tmp_path / "kaggle", tmp_path / "cache")


def pack(folder, archive, monkeypatch) -> None:
    """Zip a release and pin the checksum of its archive, as GroupLens's is pinned."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.iterdir()):
            packed.write(file, f"{folder.name}/{file.name}")
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    pinned = dataclasses.replace(movielens.LAYOUTS[folder.name], sha256=checksum)
    monkeypatch.setitem(movielens.LAYOUTS, folder.name, pinned)


def test_missing_files_say_what_was_tried_and_what_to_do(tiny_release, places):
    with pytest.raises(FileNotFoundError) as error:
        movielens.load_movielens("ml-1m", places)
    for part in (str(places.data / "ml-1m"), str(places.data / "ml-1m.zip"), str(places.cache / "ml-1m"),
                 "http://127.0.0.1:9/ml-1m.zip: ConnectionError", "VAEREC_DATA",
                 'vr.load("synthetic") needs no download'):
        assert part in str(error.value)


def test_a_cache_that_cannot_be_written_is_told_with_what_to_do(tiny_release, places, monkeypatch):
    places.cache.write_text("a file where the folder should be")
    with pytest.raises(FileNotFoundError, match="cannot write .*ml-1m.zip: (File exists|Not a dir)") as error:
        movielens.load_movielens("ml-1m", places)
    assert "VAEREC_DATA" in str(error.value)


def test_an_archive_is_official_and_comes_before_a_folder(tiny_release, places, monkeypatch, tmp_path):
    pack(tiny_release, tmp_path / "ml-1m.zip", monkeypatch)
    log = vr.load("ml-1m")  # the folder lies beside it
    assert log.official and "official copy" in repr(log) and len(log) == 6
    with pytest.raises(FileNotFoundError, match=r"ml-1m\.zip.*users\.dat"):
        movielens.load_users("ml-1m")


def test_a_changed_archive_is_not_official(tiny_release, places, monkeypatch, tmp_path):
    pack(tiny_release, tmp_path / "ml-1m.zip", monkeypatch)
    with (tmp_path / "ml-1m.zip").open("ab") as file:
        file.write(b"\0")
    assert not vr.load("ml-1m").official  # the folder
    (tiny_release / "movies.dat").unlink()
    with pytest.raises(FileNotFoundError, match=r"ml-1m\.zip: SHA-256 is .*, not that of GroupLens"):
        movielens.load_movielens("ml-1m", dataclasses.replace(places, data=tmp_path))


def test_the_cache_is_found(tiny_release, places):
    tiny_release.parent.joinpath("cache").mkdir()
    tiny_release.rename(places.cache / "ml-1m")
    log = movielens.load_movielens("ml-1m", places)
    assert len(log) == 6 and not log.official


def test_kaggles_inputs_are_searched_whatever_their_names(tiny_release, places, monkeypatch):
    """Releases share file names, so the number of rows decides."""
    for folder, rows in (("movielens-10m/deep", 5), ("my-movielens/v1/ml", 6)):
        (places.kaggle / folder).mkdir(parents=True)
        lines = (tiny_release / "ratings.dat").read_text().splitlines(keepends=True)
        (places.kaggle / folder / "ratings.dat").write_text("".join(lines[:rows]).rstrip("\n"))
        (places.kaggle / folder / "movies.dat").write_bytes((tiny_release / "movies.dat").read_bytes())
    with pytest.raises(FileNotFoundError):  # 5 rows in a file without a last newline: 4 newlines
        movielens._find("ml-1m", dataclasses.replace(movielens.LAYOUTS["ml-1m"], n_ratings=8), places)
    log = movielens.load_movielens("ml-1m", places)
    assert len(log) == 6 and not log.official
    pack(tiny_release, places.kaggle / "some-name" / "ml-1m.zip", monkeypatch)
    assert movielens.load_movielens("ml-1m", places).official


@pytest.fixture
def tiny_csv_release(tmp_path, monkeypatch):
    """A release in the format of ML-20M and ML-32M, of six invented ratings."""
    folder = tmp_path / "ml-20m"
    folder.mkdir()
    (folder / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,7,0.5,10\n1,8,4.0,11\n2,7,3.5,9\n2,9,5.0,4\n3,8,4.5,3\n3,9,1.0,2\n")
    (folder / "movies.csv").write_text(
        'movieId,title,genres\n7,"Inventée, La (2001)",Drama\n8,NA,(no genres listed)\n'
        '9,"Two ""B"" (3)",War|Drama\n',
        "utf-8")
    layout = dataclasses.replace(movielens.LAYOUTS["ml-20m"], n_ratings=6, urls=())
    monkeypatch.setitem(movielens.LAYOUTS, "ml-20m", layout)
    return folder


def test_the_format_of_the_large_releases(tiny_csv_release, monkeypatch, places, tmp_path):
    monkeypatch.setenv("VAEREC_DATA", str(tmp_path))
    log = vr.load("ml-20m")
    assert log.rating.tolist() == [0.5, 4, 3.5, 5, 4.5, 1] and log.timestamp.tolist() == [10, 11, 9, 4, 3, 2]
    assert log.item_ids.tolist() == [7, 8, 9]
    assert log.items["title"].tolist() == ["La Inventée (2001)", "NA", 'Two "B" (3)']
    assert log.items["genres"].tolist() == ["Drama", "", "War|Drama"]
    pack(tiny_csv_release, tmp_path / "ml-20m.zip", monkeypatch)
    official = vr.load("ml-20m")
    assert official.official and official.fingerprint == log.fingerprint


@pytest.mark.parametrize("damage, message", [
    ("3,9,1.0", "line 7: Expected 4 columns, got 3"), ("3,9,six,2", "line 7: rating 'six' is not a number"),
    ("3,9,6.0,2", "line 7: rating 6.0 is not 0.5 to 5"), ("", "holds 5 ratings, expected 6"),
    ("3,9,1.0,never", "line 7: timestamp 'never'"), ("3,9,,2", "line 7 has no rating")])
def test_a_damaged_row_of_a_large_release_is_named(tiny_csv_release, places, damage, message, tmp_path):
    path = tiny_csv_release / "ratings.csv"
    path.write_text("\n".join([*path.read_text().splitlines()[:-1], damage]))
    with pytest.raises(ValueError, match=message):
        movielens.load_movielens("ml-20m", dataclasses.replace(places, data=tmp_path))


def test_an_official_release_stays_official_from_its_parquet_cache(tiny_csv_release, monkeypatch, tmp_path):
    monkeypatch.setattr(parquet_cache, "WORTH_IT", 0)
    monkeypatch.setenv("VAEREC_DATA", str(tmp_path))
    pack(tiny_csv_release, tmp_path / "ml-20m.zip", monkeypatch)
    first = vr.load("ml-20m")
    assert (tmp_path / "ml-20m.zip.vaerec.parquet").is_file()
    monkeypatch.setattr(movielens_tables, "read_ratings", None)  # not parsed again
    second = vr.load("ml-20m")
    assert second.official and second.fingerprint == first.fingerprint


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="unknown data set 'ml-2m'.*synthetic.*ml-1m.*csv"):
        vr.load("ml-2m")


def test_movielens_takes_no_options():
    with pytest.raises(ValueError, match="drift"):
        vr.load("ml-1m", drift=0.1)
