"""The outputs in README are those of the commands."""

import re
import textwrap
from pathlib import Path

import pytest

from fusemax.cli import run

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    textwrap.dedent(block).strip("\n") + "\n" for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", README, re.M)
]


def block(start: str) -> str:
    """The indented block that begins with a text."""
    return next(block for block in BLOCKS if block.startswith(start))


def test_the_first_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The cascade on README's first screen gives the report that stands below it."""
    monkeypatch.chdir(tmp_path)
    Path("softmax.cascade").write_text(block("cascade softmax"), encoding="utf-8")
    assert run(["analyze", "softmax.cascade"]) == 0
    assert capsys.readouterr().out == block("softmax: X -> A")


def test_the_shown_cascade_is_the_shipped_one(capsys: pytest.CaptureFixture[str]) -> None:
    """README's Cascade 5 is what `fusemax fmt` prints of the shipped file, without its header comment."""
    assert run(["fmt", "attention-1pass"]) == 0
    printed = capsys.readouterr().out
    assert printed[printed.index("cascade attention-1pass") :] == block("cascade attention-1pass")


def test_the_shown_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The mistakes that README shows are reported so."""
    monkeypatch.chdir(tmp_path)
    text = """\
        input  A[K, M], B[K, N]
        output Z[M, N]
        Z[m, n] = A[k, m] * C[k, n]
        Y[m]    = Z[m, n] :: reduce[m] max
        """
    Path("wrong2.cascade").write_text(textwrap.dedent(text), encoding="utf-8")
    assert run(["check", "wrong2.cascade"]) == 1
    assert capsys.readouterr().err == block("wrong2.cascade:3:21")


def test_the_shown_mapping_is_the_shipped_one() -> None:
    """README's mapping is the shipped file, without its header comment."""
    shipped = (Path(__file__).parent.parent / "mappings" / "fusemax-binding.mapping").read_text(encoding="utf-8")
    assert shipped[shipped.index("mapping fusemax-binding") :] == block("mapping fusemax-binding")


def test_the_shown_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    """README's comparison is what the command above it prints."""
    command, shown = block("fusemax compare unfused").split("\n\n", 1)
    assert run(command.split()[1:]) == 0
    assert capsys.readouterr().out == shown
