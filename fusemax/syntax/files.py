"""Files on disk -> text -> cascade: found, read and decoded, with an error for each way in which that fails."""

from __future__ import annotations

import sys
from pathlib import Path

from fusemax import resources
from fusemax.errors import FusemaxError, did_you_mean
from fusemax.ir.cascade import Cascade
from fusemax.syntax.cascade.parser import parse
from fusemax.syntax.importers.teaal import parse_teaal

LARGEST_FILE = 20_000_000
"""In bytes."""
NOUNS = {
    "cascades": "cascade",
    "cascades/workloads": "workload",
    "arch": "architecture",
    "mappings": "mapping",
    "mappings/published": "study",
}
"""What one file of a kind of shipped files is."""


def load_cascade(name: str | Path) -> Cascade:
    """Parse a cascade file, or the shipped cascade of that name; a `.yaml` file is read as TeAAL's, `-` is stdin.

    Raises `FusemaxError` if there is no such file or cascade, if it is not readable text, or if it does not parse.

    >>> load_cascade("matmul").name
    'matmul'
    """
    if str(name) == "-":
        return parse(_decoded(sys.stdin.buffer.read(LARGEST_FILE + 1), "<stdin>"), "<stdin>")
    path = find(str(name), "cascades", ".cascade")
    text = read_text(path)
    shown = str(name) if Path(name) == path else path.name
    return (parse_teaal if path.suffix in (".yaml", ".yml") else parse)(text, shown)


def find(name: str, kind: str, suffix: str) -> Path:
    """The file at a path, else the shipped file of that name. Raises `FusemaxError` if there is neither."""
    if not name:
        raise FusemaxError("an empty name", "name a file, or one of `fusemax list`")
    path, known = Path(name), resources.names(kind, suffix)
    try:
        folder = path.is_dir()
        if path.exists() and not folder:
            return path
    except (OSError, ValueError):  # a name that the file system cannot even look up, such as a very long one
        folder = False
    if name in known:
        return resources.path(kind, name, suffix)
    if folder:
        raise FusemaxError(f"'{name}' is a folder", "name one file in it")
    looks_like_path = "/" in name or path.suffix
    near = did_you_mean(path.name.removesuffix(suffix), known)
    what = f"no file '{_short(name)}'" if looks_like_path else f"no file and no shipped {NOUNS[kind]} '{_short(name)}'"
    raise FusemaxError(what, near or "`fusemax list` shows what is shipped")


def _short(name: str) -> str:
    shown = "".join(char if char.isprintable() else "?" for char in name)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark. Raises `FusemaxError` if it is not that."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FusemaxError(f"'{path}' cannot be read: {reason}", "check the path") from None
    return _decoded(data, str(path))


def _decoded(data: bytes, name: str) -> str:
    if len(data) > LARGEST_FILE:
        raise FusemaxError(f"'{name}' has more than {LARGEST_FILE:,} bytes", "name a smaller file")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FusemaxError(f"'{name}' is UTF-16 text", "save the file as UTF-8")
    if b"\0" in data:
        raise FusemaxError(f"'{name}' is a binary file", "name a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        hint = f"line {line} holds byte 0x{data[error.start]:02x}; save the file as UTF-8"
        raise FusemaxError(f"'{name}' is not UTF-8 text", hint) from None
