"""What is kept of a reader's exercises, and what a lecturer collects."""

import json
import multiprocessing
import os

import pytest

import vaerec as vr
from vaerec.exercises import answers, bank


@pytest.fixture(autouse=True)
def progress_file(tmp_path, monkeypatch):
    path = tmp_path / "reader" / "progress.json"
    monkeypatch.setenv("VAEREC_PROGRESS", str(path))
    return path


def state(name: str) -> str:
    return vr.exercises.progress().xs(name, level="exercise")["state"].item()


def test_progress_tells_what_was_done():
    assert set(vr.exercises.progress()["state"]) == {"untouched"}
    vr.exercises.check("04-kl", 3)
    assert state("04-kl") == "tried once"
    vr.exercises.check("04-kl", 4)
    vr.exercises.hint("04-kl")
    row = vr.exercises.progress().loc[("04", "04-kl")]
    assert (row["state"], row["tries"], row["hint"], row["solution"]) == ("tried 2 times", 2, True, False)
    vr.exercises.check("04-kl", bank.evaluate(bank.find("04-kl").answer))
    vr.exercises.solution("04-kl")
    assert state("04-kl") == "solved"
    vr.exercises.solution("00-gru")
    vr.exercises.check("00-gru", "b")
    assert state("00-gru") == "tried once"


def test_a_solution_that_was_seen_first_is_told(progress_file):
    vr.exercises.solution("00-gru")
    content = json.loads(progress_file.read_text())
    content["exercises"]["00-gru"]["solution"] = "2026-01-01T00:00:00.000+00:00"
    progress_file.write_text(json.dumps(content))
    vr.exercises.check("00-gru", "d")
    assert state("00-gru") == "solved, solution seen first"


def test_the_file_may_be_named_for_each_call(tmp_path, progress_file):
    vr.exercises.check("00-gru", "a", progress_file=tmp_path / "mine.json")
    assert not progress_file.exists()
    mine = vr.exercises.progress(progress_file=tmp_path / "mine.json")
    assert mine.loc[("00", "00-gru"), "tries"] == 1


def test_without_a_name_it_lies_in_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("VAEREC_PROGRESS")
    monkeypatch.setattr("vaerec.exercises.answers.user_data_path", lambda name: tmp_path / name)
    vr.exercises.check("00-gru", "a")
    assert (tmp_path / "vaerec" / "exercises.json").exists()


@pytest.mark.parametrize("content", [
    "", "{", "[]", '{"format": 1}', '{"format": 1, "exercises": {"00-gru": 3}}', "\udcff",
    '{"format": 1, "exercises": {"00-gru": {"tries": "many"}}}', "[" * 100_000,
])
def test_a_damaged_file_is_moved_aside_whole(progress_file, content):
    written = content.encode("utf-8", "surrogateescape")
    progress_file.parent.mkdir()
    progress_file.write_bytes(written)
    with pytest.warns(UserWarning, match="It was moved to .*damaged.*progress starts anew"):
        vr.exercises.check("00-gru", "a")
    (aside,) = progress_file.parent.glob("*damaged*")
    assert aside.read_bytes() == written
    assert state("00-gru") == "tried once"


def test_looking_at_a_damaged_file_moves_it_aside_too(progress_file):
    progress_file.parent.mkdir()
    progress_file.write_text("{")
    with pytest.warns(UserWarning, match="moved to"):
        assert set(vr.exercises.progress()["state"]) == {"untouched"}


def test_a_file_of_a_newer_version_stays(progress_file):
    progress_file.parent.mkdir()
    progress_file.write_text('{"format": 2}')
    with pytest.warns(UserWarning, match="written by a newer vaerec"):
        assert vr.exercises.check("00-gru", "d")  # the answer is judged all the same
    with pytest.raises(ValueError, match="newer vaerec"):
        vr.exercises.progress()
    assert progress_file.read_text() == '{"format": 2}'


def test_a_place_that_cannot_be_written_costs_no_answer(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAEREC_PROGRESS", str(tmp_path / "file" / "progress.json"))
    with pytest.warns(UserWarning, match="progress was not kept"):
        assert vr.exercises.check("00-gru", "d")


def test_what_another_version_kept_is_not_lost(progress_file):
    progress_file.parent.mkdir()
    progress_file.write_text('{"format": 1, "exercises": {"77-gone": {"tries": 4}}}')
    vr.exercises.check("00-gru", "a")
    assert json.loads(progress_file.read_text())["exercises"]["77-gone"] == {"tries": 4}


def try_often(times: int) -> None:
    """Keep a try again and again: `keep` alone, so that two processes meet all the time."""
    for _ in range(times):
        answers.keep(bank.find("00-gru"), None, lambda entry: entry.update(tries=entry.get("tries", 0) + 1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a fresh interpreter takes seconds to import torch")
def test_two_processes_lose_nothing(progress_file):
    bank.find("00-gru")
    writers = [multiprocessing.get_context("fork").Process(target=try_often, args=(40,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert json.loads(progress_file.read_text())["exercises"]["00-gru"]["tries"] == 80
    assert [path.name for path in progress_file.parent.iterdir() if path.name.startswith(".")] == []


def test_the_page_shows_progress_and_runs_nothing(tmp_path):
    vr.exercises.check("06-to-a-product-owner", "<script>alert(1)</script>")
    vr.exercises.predict("00-backward", 6)
    vr.exercises.progress(page=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "1 of 5" in page
    assert "<script" not in page
    assert "http" not in page


# Handing in.

def hand_in(folder, name: str, *solved: str, file: str | None = None):
    mine = folder / f"{name}.progress"
    vr.exercises.check("04-kl", 3, progress_file=mine)
    for exercise in solved:
        vr.exercises.check(exercise, "d", progress_file=mine)
    (folder / "in").mkdir(exist_ok=True)
    return vr.exercises.export(folder / "in" / (file or f"{name}.json"), name=name, progress_file=mine)


def test_an_export_says_who_what_and_which_version(tmp_path):
    content = json.loads(hand_in(tmp_path, "Ada", "00-gru").read_text())
    assert (content["name"], content["vaerec"]) == ("Ada", vr.__version__)
    assert content["exercises"]["00-gru"]["version"] == bank.find("00-gru").version
    assert "solved" in content["exercises"]["00-gru"]
    assert content["exercises"]["04-kl"]["answer"] == 3.0


def test_an_export_needs_a_name_and_something_tried(tmp_path):
    with pytest.raises(ValueError, match="nothing was tried yet"):
        vr.exercises.export(tmp_path / "a.json", name="Ada")
    with pytest.raises(ValueError, match="who hands this in"):
        vr.exercises.export(tmp_path / "a.json", name=" ")


def test_an_export_replaces_nothing_but_an_export(tmp_path):
    hand_in(tmp_path, "Ada")
    hand_in(tmp_path, "Ada")
    (tmp_path / "in" / "thesis.json").write_text("{}")
    with pytest.raises(ValueError, match=r"thesis.json exists and is no export"):
        hand_in(tmp_path, "Ada", file="thesis.json")
    assert (tmp_path / "in" / "thesis.json").read_text() == "{}"


def test_a_lecturer_gets_one_row_a_student(tmp_path):
    hand_in(tmp_path, "Ada", "00-gru")
    hand_in(tmp_path, "Ben")
    table = vr.exercises.collect(tmp_path / "in")
    assert list(table.index) == ["Ada", "Ben"]
    assert list(table["solved"]) == [1, 0]
    assert list(table["tried"]) == [2, 1]
    assert list(table["other_version"]) == [0, 0]
    assert table.loc["Ada", "00-gru"] == "solved"
    assert table.loc["Ben", "04-kl"] == "tried once"


def test_damaged_and_older_files_are_left_out_by_name(tmp_path):
    hand_in(tmp_path, "Ada", file="old.json")
    hand_in(tmp_path, "Ada", "00-gru", file="new.json")
    whole = (tmp_path / "in" / "new.json").read_text()
    (tmp_path / "in" / "cut.json").write_text(whole[:200])
    (tmp_path / "in" / "odd.json").write_text(whole.replace('"tries": 1', '"tries": {"a": 1}'))
    (tmp_path / "in" / "huge.json").write_text(" " * 2_000_000)
    with pytest.warns(UserWarning, match="left out") as warned:
        table = vr.exercises.collect(tmp_path / "in")
    said = str(warned[0].message)
    assert all(name in said for name in ("cut.json", "odd.json", "huge.json", "old.json"))
    assert table["file"].to_dict() == {"Ada": "new.json"}


def test_another_text_of_an_exercise_is_counted(tmp_path):
    path = hand_in(tmp_path, "Ada")
    path.write_text(path.read_text().replace(bank.find("04-kl").version, "0123456789ab"))
    assert list(vr.exercises.collect(tmp_path / "in")["other_version"]) == [1]


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \*.json in"):
        vr.exercises.collect(tmp_path)
