"""Run the quick chapters twice: the second run must give what the first one gave.

    python notebooks/repeat.py 06-mvae

writes into ``repeated.json`` what was seen to repeat itself. The tests repeat only what is not listed there:
a chapter that changed, or all of them when a file of the package did.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import run

SEEN = Path(__file__).with_name("repeated.json")


def what_decides(stem: str) -> str:
    """SHA-256 of the chapter's code, its quick parameters and the package."""
    parts = (run.code_hash(run.read(stem)), run.package_hash(), run.chapters()[stem]["quick"])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def seen() -> dict[str, str]:
    """What repeated itself: chapters, with the hash of what decided their numbers."""
    return json.loads(SEEN.read_text(encoding="utf-8")) if SEEN.exists() else {}


def is_known(stem: str) -> bool:
    """Whether this very chapter was seen to repeat itself; never, where VAEREC_REPEAT is set."""
    listed = None if os.environ.get("VAEREC_REPEAT") else seen().get(stem)
    return listed is not None and listed == what_decides(stem)


def again(path: Path) -> subprocess.CompletedProcess:
    """Run an executed copy once more by nbval, which compares the cells tagged nbval-check-output."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=300", "-q",
               "-p", "no:cacheprovider", "-c", os.devnull, str(path)]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=900)


def main(stems: list[str]) -> None:
    """Run each chapter twice and list those that gave the same; stop at the first that did not."""
    unknown = sorted(set(stems) - set(run.chapters()))
    if unknown:
        raise SystemExit(f"no notebook {', '.join(unknown)}; there are: {', '.join(run.chapters())}")
    for stem in stems or run.chapters():
        if is_known(stem):
            continue
        done = again(run.run_quick(stem))
        if done.returncode:
            raise SystemExit(f"{stem} gave something else the second time:\n{done.stdout[-4000:]}")
        listed = seen() | {stem: what_decides(stem)}
        SEEN.write_text(json.dumps(listed, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"{stem} repeats itself", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
