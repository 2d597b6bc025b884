"""The scripts of examples/ run, and print what the file beside each of them says."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import ran

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def run(example: Path, directory: Path) -> str:
    """The output of an example that is run from another directory."""
    environment = os.environ | {"PYTHONUTF8": "1", "PYTHONWARNINGS": "error", "COLUMNS": "120"}
    finished = ran(sys.executable, example, cwd=directory, env=environment, timeout=120)
    assert finished.returncode == 0, f"{example.name} failed:\n{finished.stderr}"
    assert finished.stderr == ""
    return finished.stdout


def test_there_are_examples() -> None:
    """The folder has numbered examples, and every script in it is one."""
    assert EXAMPLES
    assert sorted(FOLDER.glob("*.py")) == EXAMPLES


def test_every_expected_output_has_its_example() -> None:
    """No expected output is left behind when its script goes or is renamed."""
    assert {text.stem for text in FOLDER.glob("*.txt")} <= {example.stem for example in EXAMPLES}


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_example(example: Path, tmp_path: Path, compare_file: Callable[[str, Path], None]) -> None:
    """An example prints exactly what is written beside it."""
    compare_file(run(example, tmp_path), example.with_suffix(".txt"))
