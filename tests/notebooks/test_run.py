"""How chapters are executed, shown on a small notebook of our own."""

from datetime import UTC, datetime

import nbformat
import pytest
import run
import yaml

pytestmark = pytest.mark.notebooks
v4 = nbformat.v4


def notebook(*sources: str, parameters: str = 'profile = "full"\nn = 3'):
    cells = [v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    cells += [v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A book with one chapter that prints n."""
    folder = tmp_path / "note books"
    folder.mkdir()
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "NOTEBOOKS", folder)
    profiles = {"small": {"quick": {"n": 1}, "full": {"profile": "full", "n": 3}}}
    (folder / "profiles.yaml").write_text(yaml.safe_dump(profiles))
    nbformat.write(notebook("print('n is', n)\nprint('done')"), folder / "small.ipynb")
    return folder / "small.ipynb"


def printed(path) -> str:
    cells = run.code_cells(nbformat.read(path, as_version=4))
    return "".join(output.text for cell in cells for output in cell.outputs)


def test_full_writes_the_notebook_in_place_without_traces_of_the_run(small):
    assert run.main(["--profile", "full", "--only", "small"]) == 0
    done = nbformat.read(small, as_version=4)
    assert printed(small) == "n is 3\ndone\n"
    assert len(done.cells) == 2
    assert len(done.cells[1].outputs) == 1
    made = done.metadata["vaerec"]
    assert made.pop("date") == datetime.now(UTC).date().isoformat()  # the day, and no time of it
    assert made == {
        "profile": "full", "code_hash": run.code_hash(done), "package_hash": run.package_hash()}
    assert not any(key in node.metadata for node in (done, *done.cells) for key in run.RUN_METADATA)
    first = small.read_bytes()
    run.run_full("small")
    assert small.read_bytes() == first


def test_quick_writes_beside_and_leaves_the_notebook_alone(small):
    before = small.read_bytes()
    target = run.run_quick("small")
    assert target == run.ROOT / "_build" / "quick" / "small.ipynb"
    assert printed(target) == "n is 1\ndone\n"
    assert small.read_bytes() == before


def test_a_failing_run_leaves_the_notebook_as_it_was(small):
    nbformat.write(notebook("print(n)", "1 / 0"), small)
    before = small.read_bytes()
    with pytest.raises(Exception, match="ZeroDivisionError"):
        run.run_full("small")
    assert small.read_bytes() == before
    assert [path.name for path in small.parent.glob("*.ipynb*")] == ["small.ipynb"]


def test_parameters_and_profile_must_agree(small):
    nbformat.write(notebook(parameters='profile = "full"\nn = 4'), small)
    with pytest.raises(ValueError, match=r"(?s)'n': 4.*'n': 3.*make them equal"):
        run.run_full("small")


def test_an_unknown_name_is_answered_with_those_that_exist(small, capsys):
    with pytest.raises(SystemExit):
        run.main(["--only", "smal"])
    assert "no notebook smal; there are: small" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run.main(["--profile", "fast"])
    assert "no profile 'fast'; there are: quick, full" in capsys.readouterr().err


def test_parameters_are_plain_assignments():
    good = notebook(parameters="a = (1, -2.5)  # why\nb = 'x'\nc = None")
    assert run.parameters_of(good) == {"a": [1, -2.5], "b": "x", "c": None}
    for bad in ("a = 1 + f()", "import os", "a = b = 1", "a: int = 1", "(a, b) = 1, 2"):
        with pytest.raises(ValueError, match="more than"):
            run.parameters_of(notebook(parameters=bad))


def test_the_code_hash_sees_code_and_not_text():
    plain, other = notebook("print(n)"), notebook("print(n + 1)")
    with_text = notebook("print(n)")
    with_text.cells.insert(0, v4.new_markdown_cell("# Title"))
    assert run.code_hash(plain) == run.code_hash(with_text) != run.code_hash(other)
