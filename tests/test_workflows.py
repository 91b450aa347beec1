"""The workflows call targets that exist, on branches and files that exist."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = [*sorted((ROOT / ".github" / "workflows").glob("*.yml")), ROOT / ".pre-commit-config.yaml"]
TARGETS = set(re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_make_target_exists(path):
    called = {target for line in re.findall(r"\bmake ([\w -]+)", path.read_text()) for target in line.split()}
    assert called and called <= TARGETS


@pytest.mark.parametrize("path", FILES[:-1], ids=lambda path: path.name)
def test_a_workflow_is_bounded_and_its_actions_are_pinned(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job.get("timeout-minutes") or "needs" in job
        for step in job["steps"]:
            assert re.search(r"@v\d+$", step.get("uses", "@v1"))
            for script in re.findall(r"python (\S+\.py)", step.get("run", "")):
                assert (ROOT / script).exists()


def test_only_main_is_published():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert jobs["publish"]["if"] == "github.ref == 'refs/heads/main'" and jobs["publish"]["needs"] == "check"
