"""Files on disk -> text -> cascade: found, read and decoded, with an error for each way in which that fails."""

from __future__ import annotations

import sys
from pathlib import Path

from fusemax import resources
from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.ir.cascade import Cascade
from fusemax.syntax.parser import parse
from fusemax.syntax.teaal import parse_teaal

LARGEST_FILE = 20_000_000


def load_cascade(name: str | Path) -> Cascade:
    """Parse a cascade file, or the shipped cascade of that name; a `.yaml` file is read as TeAAL's, `-` is stdin.

    Raises `FusemaxError` if there is no such file or cascade, if it is not readable text, or if it does not parse.

    >>> load_cascade("matmul").name
    'matmul'
    """
    if str(name) == "-":
        return parse(sys.stdin.read(), "<stdin>")
    path = find(str(name), "cascades", ".cascade")
    text = read_text(path)
    shown = str(name) if Path(name) == path else path.name
    return (parse_teaal if path.suffix in (".yaml", ".yml") else parse)(text, shown)


def find(name: str, kind: str, suffix: str) -> Path:
    """The file at a path, else the shipped file of that name."""
    path = Path(name)
    known = resources.names(kind, suffix)
    try:
        if path.is_file() or (path.exists() and not path.is_dir()):
            return path
    except (OSError, ValueError):  # a name that the file system cannot even look up, such as one with a NUL
        raise FusemaxError(f"'{_short(name)}' is not a name of a file", f"shipped are {listed(known, 5)}") from None
    if name in known:
        return resources.path(kind, name, suffix)
    if path.is_dir():
        raise FusemaxError(f"'{name}' is a folder", "name one file in it")
    if not name:
        raise FusemaxError("an empty name", "name a file, or one of `fusemax list`")
    looks_like_path = "/" in name or path.suffix
    near = did_you_mean(path.name.removesuffix(suffix), known)
    what = f"no file '{_short(name)}'" if looks_like_path else f"no file and no shipped {suffix[1:]} '{_short(name)}'"
    raise FusemaxError(what, near or "`fusemax list` shows what is shipped")


def _short(name: str) -> str:
    shown = "".join(char if char.isprintable() else "?" for char in name)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FusemaxError(
            f"'{path}' cannot be read: {(error.strerror or str(error)).lower()}", "check the path"
        ) from None
    if len(data) > LARGEST_FILE:
        raise FusemaxError(f"'{path}' has {len(data):,} bytes", f"the largest file that is read has {LARGEST_FILE:,}")
    if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FusemaxError(f"'{path}' is a binary file", "name a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        hint = f"line {line} holds byte 0x{data[error.start]:02x}; save the file as UTF-8"
        raise FusemaxError(f"'{path}' is not UTF-8 text", hint) from None
