"""MovieLens files: parsing, titles, and files that are missing or damaged."""

import numpy as np
import pytest

import vaerec as vr
from vaerec.datasets import movielens


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
    assert movielens._turn_article(title) == turned


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
    layout = movielens.Layout("ratings.dat", "movies.dat", "::", 6, users="users.dat")
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


def test_missing_files_say_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("VAEREC_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setattr(movielens, "user_cache_path", lambda name: tmp_path / "cache")
    with pytest.raises(FileNotFoundError) as error:
        vr.load("ml-1m")
    for part in (str(tmp_path / "nowhere" / "ml-1m"), str(tmp_path / "cache" / "ml-1m"),
                 "ml-1m.zip", "VAEREC_DATA", "synthetic"):
        assert part in str(error.value)


def test_the_cache_is_found(tiny_release, monkeypatch):
    monkeypatch.delenv("VAEREC_DATA")
    monkeypatch.setattr(movielens, "user_cache_path", lambda name: tiny_release.parent)
    assert len(vr.load("ml-1m")) == 6


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="unknown data set 'ml-2m'.*synthetic.*ml-1m"):
        vr.load("ml-2m")


def test_options_are_for_the_synthetic_world():
    with pytest.raises(ValueError, match="drift"):
        vr.load("ml-1m", drift=0.1)
