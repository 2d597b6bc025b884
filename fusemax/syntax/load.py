"""A name or a path -> any of the files: cascades, architectures, mappings, workloads, studies. Found, read, parsed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fusemax import resources
from fusemax.errors import FusemaxError, Span, did_you_mean
from fusemax.ir.cascade import Cascade
from fusemax.syntax.source import LARGEST_FILE, decoded, read_text

if TYPE_CHECKING:
    from fusemax.ir.arch import Arch
    from fusemax.ir.mapping import Mapping
    from fusemax.ir.study import SizesStudy, Study
    from fusemax.ir.workload import Workload

STUDIES = "mappings/published"
SIZES = "mappings/published/sizes"
NOUNS = {
    "cascades": "cascade",
    "cascades/workloads": "workload",
    "arch": "architecture",
    "mappings": "mapping",
    STUDIES: "study",
    SIZES: "study",
}
"""One file of a kind of shipped files."""

_Named = TypeVar("_Named")


def load_cascade(name: str | Path) -> Cascade:
    """Parse a cascade file, or the shipped cascade of that name; a `.yaml` file is read as TeAAL's, `-` is stdin.

    Raises `FusemaxError` if there is no such file or cascade, if it is not readable text, or if it does not parse.

    >>> load_cascade("matmul").name
    'matmul'
    """
    from fusemax.syntax.cascade.parser import parse
    from fusemax.syntax.importers.teaal import parse_teaal

    if str(name) == "-":
        return parse(decoded(sys.stdin.buffer.read(LARGEST_FILE + 1), "<stdin>"), "<stdin>")
    path = find(str(name), "cascades", ".cascade")
    return (parse_teaal if path.suffix in (".yaml", ".yml") else parse)(read_text(path), _shown(name, path))


def load_arch(name: str | Path) -> Arch:
    """Read an architecture file, or the shipped architecture of that name.

    Raises `FusemaxError` with every unknown or missing key, wrong unit and impossible value of the file.

    >>> load_arch("fusemax-cloud").units[0].elements
    65536
    """
    from fusemax.syntax.yaml.arch import parse_arch

    path = find(str(name), "arch", ".yaml")
    if path.suffix in (".mapping", ".cascade"):
        raise FusemaxError(f"'{name}' is not an architecture", "an architecture is a .yaml file")
    return parse_arch(read_text(path), _shown(name, path), path.parent)


def load_mapping(name: str | Path) -> Mapping:
    """Parse a mapping file, or the shipped mapping of that name, with the table beside it; `-` is stdin.

    Raises `FusemaxError` if there is no such file, mapping or table, if it is not readable text, or does not parse.

    >>> load_mapping("unfused").cascade
    'attention-3pass'
    """
    from fusemax.syntax.mapping.parser import parse_mapping

    if str(name) == "-":
        return _with_files(parse_mapping(sys.stdin.read(), "<stdin>"), Path())
    path = find(str(name), "mappings", ".mapping")
    if path.suffix in (".yaml", ".yml", ".cascade"):
        raise FusemaxError(f"'{name}' is not a mapping", "a mapping is a .mapping file")
    return _with_files(parse_mapping(read_text(path), _shown(name, path)), path.parent)


def load_workload(name: str | Path) -> Workload:
    """Read a workload file, or the shipped workload of that name. Raises `FusemaxError` with every mistake of the file.

    >>> load_workload("bert").shapes["E"]
    64
    """
    from fusemax.syntax.yaml.workload import parse_workload

    path = find(str(name), "cascades/workloads", ".yaml")
    return parse_workload(read_text(path), _shown(name, path))


def load_study(name: str | Path) -> Study:
    """Read a study file and its table, or the shipped study of that name.

    Raises `FusemaxError` with every mistake of the file, and if the table is missing or has other columns.

    >>> load_study("attention").lengths[0]
    1024
    """
    from fusemax.syntax.yaml.study import parse_study

    path = find(str(name), STUDIES, ".yaml")
    return parse_study(read_text(path), _shown(name, path), path.parent)


def load_sizes_study(name: str | Path) -> SizesStudy:
    """Read a study of machines of several sizes, or the shipped one of that name.

    Raises `FusemaxError` with every mistake of the file.

    >>> load_sizes_study("chip-area").dims
    (16, 32, 64, 128, 256, 512)
    """
    from fusemax.syntax.yaml.study import parse_sizes_study

    path = find(str(name), SIZES, ".yaml")
    return parse_sizes_study(read_text(path), _shown(name, path))


# --------------------------------------------------------------------------------------------- files that mappings name


def cascade_of(mapping: Mapping) -> Cascade:
    """The cascade that a mapping names. Raises `FusemaxError` at its line `cascade`."""
    return _named(mapping, "cascade", load_cascade, mapping.cascade)


def arch_of(mapping: Mapping) -> Arch:
    """The architecture that a mapping names. Raises `FusemaxError` at its line `arch`."""
    return _named(mapping, "arch", load_arch, mapping.arch)


def seen_from(mapping: Mapping, folder: Path) -> Mapping:
    """A mapping as it is to be written in a folder: files that it names, from there."""
    cascade, arch = (
        Path(os.path.relpath(name, folder)).as_posix() if Path(name).is_file() else name
        for name in (mapping.cascade, mapping.arch)
    )
    return replace(mapping, cascade=cascade, arch=arch)


def _with_files(mapping: Mapping, folder: Path) -> Mapping:
    """A mapping with the table that stands beside it; files that its lines `cascade` and `arch` name stand there too."""
    from fusemax.syntax.mapping.table import table_of

    cascade, arch = (
        str(folder / name) if folder != Path() and (folder / name).is_file() else name
        for name in (mapping.cascade, mapping.arch)
    )
    return replace(mapping, table=table_of(mapping, folder), cascade=cascade, arch=arch)


def _named(mapping: Mapping, heading: str, load: Callable[[str], _Named], name: str) -> _Named:
    """The file that a line of a mapping names; the error for a missing one points at the line."""
    try:
        return load(name)
    except FusemaxError as error:
        line = re.search(rf"^\s*{heading}\s+(\S+)", mapping.source.text, re.MULTILINE)
        if line is None or any(problem.span for problem in error.problems):
            raise
        span = Span(mapping.source, *line.span(1))
        raise FusemaxError([replace(problem, span=span) for problem in error.problems]) from None


# ------------------------------------------------------------------------------------------------------- names and paths


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
    shown = f"'{_short(name)}'"
    missing = f"no file {shown}" if looks_like_path else f"no file and no shipped {NOUNS[kind]} {shown}"
    raise FusemaxError(missing, near or "`fusemax list` shows what is shipped")


def _shown(name: str | Path, path: Path) -> str:
    """The name of a file in errors: as it was written, or that of the shipped file."""
    return str(name) if Path(name) == path else path.name


def _short(name: str) -> str:
    shown = "".join(char if char.isprintable() else "?" for char in name)
    return shown if len(shown) <= 80 else shown[:77] + "..."
