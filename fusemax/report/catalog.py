"""What is shipped: cascades, workloads, architectures and mappings, each with the first of what it says of itself."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any

from fusemax import resources
from fusemax.syntax.load import load_arch, load_mapping, load_workload
from fusemax.units import readable_bytes
from fusemax.view import Table


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


def catalog_json() -> dict[str, Any]:
    """The catalog as JSON data."""
    return {
        "cascades": {name: _first_comment(name) for name in resources.names("cascades", ".cascade")},
        "workloads": {
            name: {"title": load_workload(name).title, "shapes": dict(load_workload(name).shapes)}
            for name in resources.names("cascades/workloads", ".yaml")
        },
        "architectures": {name: load_arch(name).source for name in resources.names("arch", ".yaml")},
        "mappings": {
            name: {
                "title": _first_sentence(name),
                "cascade": load_mapping(name).cascade,
                "arch": load_mapping(name).arch,
            }
            for name in resources.names("mappings", ".mapping")
        },
    }


def catalog() -> tuple[Table, ...]:
    """The catalog as tables."""
    cascades = tuple((name, _first_comment(name)) for name in resources.names("cascades", ".cascade"))
    workloads = tuple(map(_workload, resources.names("cascades/workloads", ".yaml")))
    arches = tuple(map(_arch, resources.names("arch", ".yaml")))
    mappings = tuple(map(_mapping, resources.names("mappings", ".mapping")))
    return (
        Table("Cascades (fusemax analyze NAME)", ("name", "what it is"), cascades),
        Table("Workloads (--model NAME)", ("name", "what it is", "shapes"), workloads),
        Table("Architectures (--arch NAME)", ("name", "units", "buffer", "DRAM"), arches),
        Table("Mappings (fusemax compare NAME...)", ("name", "cascade", "architecture", "what it is"), mappings),
    )


def _workload(name: str) -> tuple[str, str, str]:
    workload = load_workload(name)
    return name, workload.title, " ".join(f"{rank}={size}" for rank, size in workload.shapes.items())


def _mapping(name: str) -> tuple[str, str, str, str]:
    mapping = load_mapping(name)
    return name, mapping.cascade, mapping.arch, _first_sentence(name)


def _arch(name: str) -> tuple[str, str, str, str]:
    arch = load_arch(name)
    units = ", ".join(f"{unit.name} {' x '.join(str(size) for _, size in unit.axes)}" for unit in arch.units)
    sizes = [memory.size_bytes for memory in arch.memories if memory.size_bytes is not None]
    bandwidth = arch.outermost.bandwidth_bytes_s
    return name, units, " + ".join(map(readable_bytes, sizes)), f"{readable_bytes(bandwidth or 0)}/s"
