"""Cascade files on disk: every way in which reading one can fail, and what is read all the same."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from fusemax import FusemaxError
from fusemax.syntax.load import load_cascade
from fusemax.syntax.source import LARGEST_FILE

TEXT = "Z[m] = A[k, m] * B[k]\n"
CANONICAL = TEXT


def refusal(name: str | Path) -> str:
    """The message with which a name is refused."""
    with pytest.raises(FusemaxError) as caught:
        load_cascade(name)
    return str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("*", "×").encode(),
        TEXT.strip().encode(),
    ],
    ids=["plain", "byte order mark", "windows line ends", "unicode", "no line end"],
)
def test_text_files_are_read(data: bytes, tmp_path: Path) -> None:
    """UTF-8 with or without a mark, any line ends, any symbols of the language."""
    path = tmp_path / "mine.cascade"
    path.write_bytes(data)
    cascade = load_cascade(path)
    assert (str(cascade), cascade.name) == (CANONICAL, "mine")


def test_any_suffix_is_read(tmp_path: Path) -> None:
    """The suffix is a convention; only .yaml means another language."""
    for name in ("mine.txt", "mine", "mine.einsum"):
        (tmp_path / name).write_text(TEXT, encoding="utf-8")
        assert str(load_cascade(str(tmp_path / name))) == CANONICAL
    (tmp_path / "mine.yaml").write_text("einsum: {declaration: {A: [K]}, expressions: ['Z = A[k]']}", encoding="utf-8")
    assert [e.name for e in load_cascade(tmp_path / "mine.yaml").einsums] == ["Z"]


def test_a_shipped_cascade_goes_by_its_name() -> None:
    """Errors in a shipped file would name the file."""
    assert load_cascade("matmul").source.name == "matmul.cascade"


def test_a_file_wins_over_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the current folder goes before a shipped one."""
    monkeypatch.chdir(tmp_path)
    Path("matmul").write_text(TEXT, encoding="utf-8")
    assert str(load_cascade("matmul")) == CANONICAL


def test_a_folder_does_not_hide_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder cannot be read, so the shipped cascade is meant."""
    monkeypatch.chdir(tmp_path)
    Path("matmul").mkdir()
    assert load_cascade("matmul").name == "matmul"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.cascade", "no file 'missing.cascade'\nhint: `fusemax list` shows what is shipped"),
        ("folder/matmul.cascade", "no file 'folder/matmul.cascade'\nhint: did you mean 'matmul'?"),
        ("atention-1pass", "no file and no shipped cascade 'atention-1pass'\nhint: did you mean 'attention-1pass'?"),
        ("Matmul", "no file and no shipped cascade 'Matmul'\nhint: did you mean 'matmul'?"),
        ("xyz", "no file and no shipped cascade 'xyz'\nhint: `fusemax list` shows what is shipped"),
        ("", "an empty name\nhint: name a file, or one of `fusemax list`"),
        ("x" * 300, f"no file and no shipped cascade '{'x' * 77}...'\nhint: `fusemax list` shows what is shipped"),
        ("a\0b", "no file and no shipped cascade 'a?b'\nhint: `fusemax list` shows what is shipped"),
        ("a\nb", "no file and no shipped cascade 'a?b'\nhint: `fusemax list` shows what is shipped"),
    ],
)
def test_names_that_are_not_there(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest shipped name is offered; a path is looked for as a path."""
    monkeypatch.chdir(tmp_path)
    assert refusal(name) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x7fELF\x00\x01", "'it' is a binary file\nhint: name a text file"),
        (b"Z = A\x00", "'it' is a binary file\nhint: name a text file"),
        (
            "# café\nZ = A".encode("latin-1"),
            "'it' is not UTF-8 text\nhint: line 1 holds byte 0xe9; save the file as UTF-8",
        ),
        (b"Z = A\n\n\xff", "'it' is not UTF-8 text\nhint: line 3 holds byte 0xff; save the file as UTF-8"),
        (TEXT.encode("utf-16"), "'it' is UTF-16 text\nhint: save the file as UTF-8"),
        (b"\xfe\xff\x00Z", "'it' is UTF-16 text\nhint: save the file as UTF-8"),
        (b"#" * (LARGEST_FILE + 1), "'it' has more than 20,000,000 bytes\nhint: name a smaller file"),
        (b"", "it:1:1: no statement in this file\n  \n  ^\nhint: write an equation: `Z[m] = A[k, m] * B[k]`"),
        (b"\n\n", "it:1:1: no statement in this file\n  \n  ^\nhint: write an equation: `Z[m] = A[k, m] * B[k]`"),
        (
            b"# only",
            "it:1:1: no statement in this file\n  # only\n  ^\nhint: write an equation: `Z[m] = A[k, m] * B[k]`",
        ),
    ],
    ids=["elf", "nul", "latin-1", "third line", "utf-16", "utf-16 be", "huge", "empty", "blank", "comments"],
)
def test_files_that_are_no_cascade(data: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Binary files, other encodings, sizes beyond reason, nothing at all."""
    monkeypatch.chdir(tmp_path)
    Path("it").write_bytes(data)
    assert refusal("it") == message


def test_a_folder_is_no_cascade(tmp_path: Path) -> None:
    """A folder is not read."""
    assert refusal(tmp_path) == f"'{tmp_path}' is a folder\nhint: name one file in it"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """Without permission the error says so."""
    path = tmp_path / "it"
    path.write_text(TEXT, encoding="utf-8")
    path.chmod(0)
    assert refusal(path) == f"'{path}' cannot be read: permission denied\nhint: check the path"


def test_a_file_that_fails_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken disk is an error of ours no more than a missing file."""
    path = tmp_path / "it"
    path.write_text(TEXT, encoding="utf-8")

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", fail)
    assert refusal(path) == f"'{path}' cannot be read: input/output error\nhint: check the path"


def test_a_device_without_end_is_refused() -> None:
    """No more than the largest file is ever read."""
    assert refusal("/dev/zero") == "'/dev/zero' has more than 20,000,000 bytes\nhint: name a smaller file"


def _stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii", errors="surrogateescape"))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is standard input, in UTF-8 whatever the terminal's encoding."""
    _stdin(monkeypatch, TEXT.replace("*", "×").encode())
    assert str(load_cascade("-")) == CANONICAL
    _stdin(monkeypatch, b"\xff")
    assert refusal("-") == "'<stdin>' is not UTF-8 text\nhint: line 1 holds byte 0xff; save the file as UTF-8"
    _stdin(monkeypatch, b"Z[m = A[m]")
    assert refusal("-").startswith("<stdin>:1:2: bracket '[' is never closed")
