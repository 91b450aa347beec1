"""The workflows call targets that exist, on branches and files that exist."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import run
import yaml

import vaerec
from tests.conftest import KINDS

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / ".github" / "workflows").glob("*.yml")), ROOT / ".pre-commit-config.yaml"]
RULES = re.findall(r"^([\w -]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
TARGETS = {target for rule in RULES for target in rule.split()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_make_target_exists(path):
    called = {target for line in re.findall(r"\bmake ([\w -]+)\b(?!=)", path.read_text())
              for target in line.split()}
    assert called <= TARGETS and bool(called) == (path.name != "publish.yml")


def test_the_workflows_are_what_github_reads():
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    subprocess.run([*schema, "vendor.github-workflows", *FILES[:-1]], check=True)
    subprocess.run([*schema, "vendor.citation-file-format", ROOT / "CITATION.cff"], check=True)
    subprocess.run([*schema, "vendor.dependabot", ROOT / ".github" / "dependabot.yml"], check=True)


@pytest.mark.parametrize("path", FILES[:-1], ids=lambda path: path.name)
def test_a_workflow_is_bounded_and_its_actions_are_pinned(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job.get("timeout-minutes") or "needs" in job
        for step in job["steps"]:
            assert re.search(r"@(release/)?v\d+$", step.get("uses", "@v1"))
            for script in re.findall(r"python (\S+\.py)", step.get("run", "")):
                assert (ROOT / script).exists()


def test_a_failing_week_is_told_whatever_failed():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "weekly.yml").read_text())["jobs"]
    assert set(jobs["report"]["needs"]) == set(jobs) - {"report"} and jobs["report"]["if"] == "failure()"


@pytest.mark.parametrize("tag, fits", [(f"v{vaerec.__version__}", True), ("v99.0", False)])
def test_a_release_needs_the_tag_of_the_version(tag, fits):
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]["release"]
    (check,) = (step["run"] for step in release["steps"] if "version" in step.get("name", ""))
    done = subprocess.run(["bash", "-ec", check], cwd=ROOT, env=os.environ | {"GITHUB_REF_NAME": tag})
    assert (done.returncode == 0) == fits


def test_the_hook_for_notebooks_takes_traces_of_a_run_and_nothing_else(tmp_path):
    hooks = [hook for repo in yaml.safe_load(FILES[-1].read_text())["repos"] for hook in repo["hooks"]]
    (hook,) = (hook for hook in hooks if hook["id"] == "notebooks")
    copy = tmp_path / "06-mvae.ipynb"
    notebook = run.read("06-mvae")
    for node in (notebook, *notebook.cells):
        node.metadata |= dict.fromkeys(run.RUN_METADATA, "today")
    run.nbformat.write(notebook, copy)
    command = shlex.split(hook["entry"].replace(".venv/bin/python", shlex.quote(sys.executable)))
    subprocess.run([*command, copy], check=True)
    assert copy.read_bytes() == (run.NOTEBOOKS / copy.name).read_bytes()


# A file of its own, since the path of Python may hold a space, which a first line "#!" does not take.
GH = """#!/bin/sh
exec "{python}" "{script}" "$@"
"""
FAKE_GH = """
import shutil, sys
if sys.argv[1:3] == ["release", "list"]:
    print("v0.2.0\\nv0.1.0")
else:
    _, _, tag, *_, folder = sys.argv[1:]
    shutil.copytree(f"released/{tag}", folder)
"""


def test_each_release_keeps_its_book(tmp_path):
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["book"]["steps"]
    (step,) = (step for step in steps if "release" in step.get("name", ""))
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    script = gh.with_name("gh.py")
    script.write_text(FAKE_GH)
    gh.write_text(GH.format(python=sys.executable, script=script))
    gh.chmod(0o755)
    for tag in ("v0.1.0", "v0.2.0"):
        page = tmp_path / "packed" / tag / "pack" / "html" / "notebooks" / "page.html"
        page.parent.mkdir(parents=True)
        page.write_text(tag)
        shutil.make_archive(tmp_path / "released" / tag / "pack", "zip", tmp_path / "packed" / tag, "pack")
    (tmp_path / "_build" / "html").mkdir(parents=True)
    subprocess.run(["bash", "-ec", step["run"]], cwd=tmp_path, check=True,
                   env=os.environ | {"PATH": f"{gh.parent}:{os.environ['PATH']}"})
    for tag in ("v0.1.0", "v0.2.0"):
        assert (tmp_path / "_build" / "html" / tag / "notebooks" / "page.html").read_text() == tag


def test_the_package_index_is_switched_off_until_it_is_switched_on():
    text = (ROOT / ".github" / "workflows" / "publish.yml").read_text()
    workflow = yaml.safe_load(text)
    (job,) = workflow["jobs"].values()
    assert job["if"].startswith("vars.PUBLISH_TO_INDEX == 'true' &&")
    assert list(workflow[True]) == ["workflow_dispatch"]  # YAML 1.1 reads "on" as true
    assert job["permissions"]["id-token"] == "write" and "password" not in text and "secrets." not in text
    # What the three steps ask for is what the job has.
    assert f"environment {job['environment']}" in text and "PUBLISH_TO_INDEX to true" in text
    (wheel,) = re.findall(r"--pattern \"(.*?)\"", text)
    assert wheel in (ROOT / ".github" / "workflows" / "release.yml").read_text()


def test_only_main_is_published():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert jobs["publish"]["if"] == "github.ref == 'refs/heads/main'"
    assert set(jobs["publish"]["needs"]) == set(jobs) - {"publish"}


def test_what_does_not_wait_for_others_takes_at_most_fifteen_minutes():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert all(job["timeout-minutes"] <= 15 for name, job in jobs.items() if name != "publish")


def test_the_kinds_that_ci_runs_are_all_that_there_are():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    kinds = set(re.findall(r"make test-(\w+)", text)) | set(re.findall(r'-m "(\w+) and not slow"', text))
    assert kinds == set(KINDS)
