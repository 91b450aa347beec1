"""What a notebook records can be read again, and what must not be recorded is refused."""

import nbformat
import pytest
import run
from nbclient import NotebookClient

import vaerec as vr

CELL = """
import time
import vaerec as vr
time.sleep(0.3)
log = vr.load("synthetic", n_users=20, n_items=30)
vr.record(log, {"ndcg@100": 0.25, "n": 3})
"""


def test_a_record_is_read_back_by_name_and_type(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, resources={"metadata": {"path": tmp_path}}).execute()
    values = run.recorded(notebook)
    log = vr.load("synthetic", n_users=20, n_items=30)
    assert values["ndcg@100"] == 0.25 and values["n"] == 3.0
    assert values["data"] == f"{len(log):,} interactions, generated"
    assert log.fingerprint.startswith(values["fingerprint"])
    assert values["seconds"] >= 0.3 and values["threads"] >= 1
    assert "torch" in values["versions"] and values["device"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(world, value):
    with pytest.raises(ValueError, match=r"not a finite number: \['loss'\]"):
        vr.record(world, {"loss": value})


def test_on_kaggle_the_greeting_names_the_switch(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("vaerec.provenance.KAGGLE", tmp_path)
    vr.greet(quick_minutes=0.5, full_minutes=3)
    assert "Settings > Internet" in capsys.readouterr().out


def test_greeting_names_device_versions_and_minutes(capsys):
    vr.greet(quick_minutes=0.5, full_minutes=3)
    printed = capsys.readouterr().out
    for part in ("torch", "Device: ", "about 3 min (profile full) or 0.5 min (quick)"):
        assert part in printed
