"""The catalog: shipped cascades, workloads, architectures and mappings, each with its title."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

from fusemax import resources
from fusemax.ir.arch import Arch
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.ir.workload import Workload
from fusemax.syntax.load import load_arch, load_mapping, load_workload
from fusemax.units import readable_bytes
from fusemax.view import Json, Record, Result, Table


def _first_comment(name: str) -> str:
    """The first comment line of a cascade file; cascades themselves need not be parsed for a list."""
    for line in resources.path("cascades", name, ".cascade").read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and line.strip("# "):
            return line.strip("# ")
    return ""


def _first_sentence(name: str) -> str:
    """The first sentence of the comment at the top of a mapping file, which may go over several lines."""
    lines = resources.path("mappings", name, ".mapping").read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.strip("# ") for line in takewhile(lambda line: line.startswith("#"), lines))
    return re.split(r"(?<=\w)\. |\.$", comment)[0]


@dataclass(frozen=True)
class Catalog(Result):
    """The shipped files by name: cascades and mappings with their titles, workloads, architectures.

    >>> found = catalog()
    >>> found.workloads["bert"].shapes["H"], "attention-1pass" in found.cascades
    (12, True)
    """

    cascades: Mapping[str, str]
    workloads: Mapping[str, Workload]
    architectures: Mapping[str, Arch]
    mappings: Mapping[str, MappingFile]
    titles: Mapping[str, str]

    def tables(self) -> Iterator[Table]:
        """A table for each kind."""
        cascades = tuple(self.cascades.items())
        workloads = tuple(map(_workload, self.workloads.items()))
        arches = tuple(map(_arch, self.architectures.items()))
        mappings = tuple((name, found.cascade, found.arch, self.titles[name]) for name, found in self.mappings.items())
        yield Table("Cascades (fusemax analyze NAME)", ("name", "description"), cascades)
        yield Table("Workloads (--model NAME)", ("name", "description", "shapes"), workloads)
        yield Table("Architectures (--arch NAME)", ("name", "units", "buffer", "DRAM"), arches)
        headers = ("name", "cascade", "architecture", "description")
        yield Table("Mappings (fusemax compare NAME...)", headers, mappings)

    def records(self) -> list[Record]:
        """A row for each file: its kind, its name, and its title."""
        kinds = {
            "cascade": self.cascades,
            "workload": {name: workload.title for name, workload in self.workloads.items()},
            "architecture": {name: arch.source for name, arch in self.architectures.items()},
            "mapping": self.titles,
        }
        return [
            {"kind": kind, "name": name, "title": title}
            for kind, files in kinds.items()
            for name, title in files.items()
        ]

    def to_json(self) -> Json:
        """The catalog as JSON data (docs/json.md)."""
        return {
            "cascades": dict(self.cascades),
            "workloads": {
                name: {"title": workload.title, "shapes": dict(workload.shapes)}
                for name, workload in self.workloads.items()
            },
            "architectures": {name: arch.source for name, arch in self.architectures.items()},
            "mappings": {
                name: {"title": self.titles[name], "cascade": found.cascade, "arch": found.arch}
                for name, found in self.mappings.items()
            },
        }


def catalog() -> Catalog:
    """The shipped files."""
    mappings = resources.names("mappings", ".mapping")
    return Catalog(
        {name: _first_comment(name) for name in resources.names("cascades", ".cascade")},
        {name: load_workload(name) for name in resources.names("cascades/workloads", ".yaml")},
        {name: load_arch(name) for name in resources.names("arch", ".yaml")},
        {name: load_mapping(name) for name in mappings},
        {name: _first_sentence(name) for name in mappings},
    )


def _workload(named: tuple[str, Workload]) -> tuple[str, str, str]:
    name, workload = named
    return name, workload.title, " ".join(f"{rank}={size}" for rank, size in workload.shapes.items())


def _arch(named: tuple[str, Arch]) -> tuple[str, str, str, str]:
    name, arch = named
    units = ", ".join(f"{unit.name} {' x '.join(str(size) for _, size in unit.axes)}" for unit in arch.units)
    sizes = [memory.size_bytes for memory in arch.memories if memory.size_bytes is not None]
    bandwidth = arch.outermost.bandwidth_bytes_s
    return name, units, " + ".join(map(readable_bytes, sizes)), f"{readable_bytes(bandwidth or 0)}/s"
