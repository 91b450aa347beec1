"""One address in many files: all agree, and it can be set and taken back."""

import shutil
import subprocess
import sys

import pytest
import repository
import run

URL = "https://github.com/some-one/a.book_2"


@pytest.fixture
def copy(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for path in repository.places():
        shutil.copy(path, tmp_path / path.relative_to(run.ROOT))
    return tmp_path


def texts(root) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in repository.places(root)}


def test_an_address_is_written_everywhere_and_taken_back_byte_for_byte(copy):
    repository.write("", copy)
    before = texts(copy)
    for _ in range(2):
        repository.write(URL, copy)
        assert repository.address(copy) == URL
        assert {name: text.count(URL) for name, text in texts(copy).items()} == dict.fromkeys(before, 1)
    repository.write("", copy)
    assert texts(copy) == before


def test_all_places_agree_now(copy):
    before = texts(copy)
    repository.write(repository.address(), copy)
    assert texts(copy) == before


def test_another_address_makes_no_notebook_stale(copy):
    repository.write(URL, copy)
    notebook = run.nbformat.read(copy / "notebooks" / "06-mvae.ipynb", as_version=4)
    assert f'"{URL}"' in run.code_cells(notebook)[0].source
    assert run.code_hash(notebook) == run.code_hash(run.read("06-mvae"))


@pytest.mark.parametrize("url", ["github.com/a/b", "https://github.com/a", "https://github.com/a/b/",
                                 "https://github.com/a/b.git", 'https://github.com/a/b"; rm', "http://h.org/a/b"])
def test_a_wrong_address_changes_nothing(url, copy):
    before = texts(copy)
    with pytest.raises(ValueError, match="expected an address such as"):
        repository.write(url, copy)
    assert texts(copy) == before


def test_a_disk_that_is_full_changes_nothing(copy):
    before = texts(copy)
    (copy / "notebooks" / "A2-your-own-data.ipynb.new").mkdir()  # stands where its new text would
    with pytest.raises(FileExistsError):
        repository.write(URL, copy)
    assert texts(copy) == before
    assert [path.name for path in copy.rglob("*.new")] == ["A2-your-own-data.ipynb.new"]


def test_a_file_that_lost_its_place_is_named_and_nothing_is_written(copy):
    broken = copy / "notebooks" / "06-mvae.ipynb"
    broken.write_text(broken.read_text().replace("REPOSITORY, VERSION, PACKAGE", "REPO"))
    before = texts(copy)
    with pytest.raises(ValueError, match=r"06-mvae\.ipynb names the repository 0 times"):
        repository.write(URL, copy)
    assert texts(copy) == before


def test_the_command_says_what_is_wrong_in_one_line():
    done = subprocess.run([sys.executable, run.NOTEBOOKS / "repository.py", "github.com/a"],
                          capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "expected an address such as" in done.stderr
