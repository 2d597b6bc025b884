"""Study files: YAML, with a table of published values beside it -> `Study`."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from fusemax.errors import FusemaxError, Source, did_you_mean, in_order, listed
from fusemax.ir.study import Averages, Figure, Published, Shows, SizesStudy, Study
from fusemax.moved import current, moved_name
from fusemax.syntax.source import read_text
from fusemax.syntax.yaml.nodes import Node, Scalar, Sequence_, read_yaml
from fusemax.syntax.yaml.schema import SchemaReader, text_value
from fusemax.units import integer_of

_Read = TypeVar("_Read")


def parse_study(text: str, name: str = "<study>", folder: Path = Path()) -> Study:
    """Parse the text of a study file; `name` is its name in errors, `folder` the place of its table."""
    return _read(text, name, folder, _Reader.study)


def parse_sizes_study(text: str, name: str = "<study>") -> SizesStudy:
    """Parse the text of a study of machines of several sizes; `name` is its name in errors."""
    return _read(text, name, Path(), _Reader.sizes)


def _read(text: str, name: str, folder: Path, read: Callable[[_Reader, Node], _Read]) -> _Read:
    """The study that a text says, or all of its mistakes."""
    reader = _Reader(folder)
    found = read(reader, read_yaml(Source(name, text)))
    if reader.problems:
        raise FusemaxError(in_order(reader.problems))
    return found


class _Reader(SchemaReader):
    """Reads the nodes of a study file in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def study(self, node: Node) -> Study:
        """The whole file."""
        required = ("name", "title", "source", "accounting", "baseline", "values", "models", "lengths", "mappings")
        keys = self.keys(node, "a study", required, ("figures", "averages", "end-to-end"))
        return Study(
            self.value(keys, "name", text_value, ""),
            self.value(keys, "title", text_value, ""),
            self.value(keys, "source", text_value, ""),
            self.value(keys, "accounting", lambda text, _: current(text), ""),
            self.value(keys, "baseline", text_value, ""),
            {name: self.text(label) for name, label in self.entries(keys.get("mappings"), "mapping")},
            tuple(map(self.text, self.items(keys.get("models"), "models"))),
            tuple(map(self.length, self.items(keys.get("lengths"), "lengths"))),
            tuple(self.figure(number, inner) for number, inner in self.entries(keys.get("figures"), "figure")),
            self.averages(keys.get("averages")),
            tuple(self.value(keys, "values", lambda file, _: tuple(_published(self.folder / file)), ())),
            self.value(keys, "end-to-end", _yes, False),
        )

    def sizes(self, node: Node) -> SizesStudy:
        """The whole file of a study of sizes."""
        required = ("name", "title", "source", "figure", "mapping", "model", "length", "dims", "seconds", "area")
        keys = self.keys(node, "a study of sizes", required)
        return SizesStudy(
            self.value(keys, "name", text_value, ""),
            self.value(keys, "title", text_value, ""),
            self.value(keys, "source", text_value, ""),
            self.value(keys, "figure", text_value, ""),
            self.value(keys, "mapping", text_value, ""),
            self.value(keys, "model", text_value, ""),
            length=self.length(keys["length"]) if "length" in keys else 1,
            dims=tuple(self.length(item) for item in self.items(keys.get("dims"), "dims")),
            seconds={self.whole(n): self.number(s) for n, s in self.entries(keys.get("seconds"), "size")},
            areas_mm2={name: self.number(area) for name, area in self.entries(keys.get("area"), "architecture")},
        )

    def whole(self, text: str) -> int:
        """A size that is a key."""
        return int(text) if text.isdigit() else 0

    def items(self, node: Node | None, what: str) -> Iterator[Node]:
        """The items of a list."""
        if isinstance(node, Sequence_):
            yield from node.items
        elif node is not None:
            self.refuse(f"`{what}` is not a list", node.span, f"write `{what}: [...]`")

    def text(self, node: Node) -> str:
        """A single value."""
        if isinstance(node, Scalar):
            return node.value
        self.refuse("not a single value", node.span, "write one text")
        return ""

    def length(self, node: Node) -> int:
        """A sequence length, such as 64K."""
        try:
            return _length(self.text(node))
        except ValueError:
            self.refuse("not a length", node.span, "write one like 1024, 64K or 1M")
            return 1

    def number(self, node: Node) -> float:
        """A single number."""
        try:
            return float(self.text(node))
        except ValueError:
            self.refuse("not a number", node.span, "write one like 0.79")
            return 0.0

    def figure(self, number: str, node: Node) -> Figure:
        """One entry of `figures`."""
        keys = self.keys(node, f"figure '{number}'", ("shows", "title"), ("unit", "model"))
        return Figure(
            number,
            self.value(keys, "shows", _shows, Shows.SPEEDUP),
            self.value(keys, "unit", text_value, None),
            self.value(keys, "model", text_value, None),
            self.value(keys, "title", text_value, ""),
        )

    def averages(self, node: Node | None) -> Averages:
        """`averages`"""
        keys = {} if node is None else self.keys(node, "`averages`", ("over", "speed-up", "energy"))
        return Averages(
            self.value(keys, "over", text_value, ""),
            {name: self.number(value) for name, value in self.entries(keys.get("speed-up"), "mapping")},
            {name: self.number(value) for name, value in self.entries(keys.get("energy"), "mapping")},
        )


def _yes(text: str, what: str) -> bool:
    if text not in ("yes", "no"):
        raise FusemaxError(f"{what} is not '{text}'", "write yes or no")
    return text == "yes"


def _shows(text: str, what: str) -> Shows:
    names = [shows.value for shows in Shows]
    if text not in names:
        raise FusemaxError(f"{what} is not '{text}'", did_you_mean(text, names) or f"choose {listed(names, word='or')}")
    return Shows(text)


def _length(text: str) -> int:
    """`64K` as an integer. Raises `ValueError` for other texts."""
    length = integer_of(text)
    if length is None:
        raise ValueError(text)
    return length


COLUMNS = ("mapping", "model", "seq", "latency_s", "dram_bytes", "energy_j", "energy_tolerance", "latency_tolerance")
"""Of the table; columns that begin with `util_` are utilizations of units."""


def _published(path: Path) -> Iterator[Published]:
    """The rows of the table of published values."""
    rows = list(csv.DictReader(read_text(path).splitlines()))
    missing = [column for column in COLUMNS if not rows or column not in rows[0]]
    if missing:
        raise FusemaxError(f"'{path.name}' has no column {listed(missing)}", f"its columns are {listed(COLUMNS, 20)}")
    for line, row in enumerate(rows, 2):
        try:
            yield _row(row)
        except (ValueError, TypeError):
            raise FusemaxError(f"line {line} of '{path.name}' does not hold numbers", "write numbers there") from None


def _row(row: Mapping[str, str]) -> Published:
    number = {key: float(cell) for key, cell in row.items() if key not in COLUMNS[:3]}
    return Published(
        row["mapping"], row["model"], _length(row["seq"]), number["latency_s"], number["dram_bytes"], number["energy_j"],
        {key.removeprefix("util_"): value for key, value in number.items() if key.startswith("util_")},
        number["energy_tolerance"], number["latency_tolerance"],
    )  # fmt: skip


def __getattr__(name: str) -> object:
    return moved_name(__name__, name)
