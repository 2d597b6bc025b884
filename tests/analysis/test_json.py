"""The JSON of an analysis: what docs/json.md promises, an example of it, and values that SymPy reads back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sympy

from fusemax import analyze, check, load_cascade, parse
from fusemax.ir.expr import Name
from fusemax.resources import names
from fusemax.syntax.load import load_arch
from fusemax.validate.shapes import shape_names
from tests.conftest import Golden

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[2] / "docs" / "json.md"
SHAPES = {"B": 2, "H": 3, "E": 8, "F": 4, "M": 512, "P": 16}
EXAMPLE = json.loads("""
    {"cascade": "attention-3pass",
     "inputs": ["K", "Q", "V"], "outputs": ["AV"],
     "einsums": [{"output": "QK", "pass": {"M": 1}, "ops": {"mac": "B*E*H*M*P"}}],
     "passes": {"M": {"ranks": ["M"], "passes": 3, "live": ["QK", "SN"], "per_tensor": {"K": 1, "QK": 2, "SN": 2, "A": 1, "V": 1},
                      "footprint": "M", "grows_with_rank": true,
                      "boundaries": [{"after": 1, "completes": "GM", "rereads": "QK", "by": "SN"}]}}}
""")
SIZES = {"B": 2, "D": 11, "E": 5, "F": 7, "G": 2, "H": 4, "I": 13, "J": 2, "K": 3, "LKV": 8}
SIZES |= {"M": 6, "N": 9, "P": 10, "S": 12, "T": 14, "V": 15}
BY_NAME = {"shapes", "tiles", "pass", "ops", "ops_count", "per_tensor", "operators", "reads", "writes", "passes"}
"""Objects whose keys are names out of the cascade, or kinds of operations."""
ANY = "[name]"


def analyzed(name: str = "attention-2pass", **options: Any) -> dict[str, Any]:
    """The JSON of a shipped cascade, after a trip through text."""
    data = json.loads(json.dumps(analyze(load_cascade(name), **options).to_json()))
    assert isinstance(data, dict)
    return data


def keys(data: Any, path: str = "") -> Iterator[str]:
    """Every documented kind of key that occurs, with its path; names of ranks, tensors and kinds are left out."""
    if isinstance(data, list):
        for item in data:
            yield from keys(item, path)
    elif isinstance(data, dict):
        for key, value in data.items():
            if path.rsplit(".", 1)[-1] in BY_NAME:
                yield from keys(value, f"{path}{ANY}")
            else:
                yield f"{path}.{key}".replace(ANY, "")
                yield from keys(value, f"{path}.{key}")


def documented() -> set[str]:
    """The keys of the first table in docs/json.md, with their paths; behind it come other commands."""
    found: set[str] = set()
    parent = ""
    for line in DOCUMENT.read_text(encoding="utf-8").split("\n# ")[0].splitlines():
        if not line.startswith("| `"):
            continue
        first, second = (cell.strip() for cell in line.strip("|").split("|", 1))
        listed = [key.strip("` ") for key in first.split(",")]
        if not listed[0].startswith("."):
            parent = ""
        paths = [f"{parent}{key}" if key.startswith(".") else f".{key}" for key in listed]
        found.update(paths)
        if second.rstrip(" |").endswith(":") and listed == [listed[0]] and not listed[0].startswith("."):
            parent = f".{listed[0]}"
        for path in paths:
            found.update(f"{path}.{key}" for key in NESTED.get(path, ()) if f"`{key}`" in second)
    return found


NESTED: Mapping[str, tuple[str, ...]] = {
    ".passes.boundaries": ("after", "completes", "waits_for", "rereads", "by"),
    ".passes.kept": ("after", "tensors", "elements", "fibers", "recompute"),
    ".passes.buffer": ("fits", "footprint_bytes", "extra_dram_bytes"),
    ".traffic": ("reads", "writes", "elements", "elements_count", "bytes"),
    ".roofline": ("arch", "compute_s", "memory_s", "bound", "busiest", "lacking"),
}
IMPLIED = {
    ".passes.kept.elements_count",
    ".passes.kept.fibers_count",
    ".passes.kept.recompute.keep",
    ".passes.kept.recompute.instead_of",
    ".passes.kept.recompute.elements",
    ".passes.kept.recompute.elements_count",
}
"""Numbers beside symbols, and the keys that the document lists in parentheses."""


def test_the_document_lists_every_key_and_no_other() -> None:
    """`analyze --json` prints the keys that docs/json.md describes."""
    data = analyzed(shapes=SHAPES, tiles={"P": 4}, buffer_bytes=1024, arch=load_arch("fusemax-cloud"))
    assert set(keys(data)) == documented() | IMPLIED


def test_what_is_in_parentheses_is_in_the_document() -> None:
    """The keys of `recompute` are named in the row of `kept`."""
    row = next(line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `.kept`"))
    assert all(f"`{key}`" in row for key in ("keep", "instead_of", "elements"))


def test_the_example_is_part_of_the_json() -> None:
    """The JSON of the 3-pass attention holds the example, literally."""
    assert contains(analyzed("attention-3pass"), EXAMPLE)


def contains(data: Any, part: Any) -> bool:
    """Whether data hold all that a part says: objects may have more keys, lists of objects more at their end."""
    if isinstance(part, dict):
        return isinstance(data, dict) and all(key in data and contains(data[key], value) for key, value in part.items())
    if isinstance(part, list) and part and isinstance(part[0], dict):
        return all(contains(item, wanted) for item, wanted in zip(data, part, strict=False)) and len(data) >= len(part)
    return bool(data == part)


@pytest.mark.parametrize("name", ["attention-3pass", "attention-1pass"])
def test_the_json_is_stable(name: str, golden: Golden) -> None:
    """Programs read it: every change is a change of this file."""
    text = json.dumps(analyze(load_cascade(name), SHAPES, buffer_bytes=2**10).to_json(), indent=2)
    golden(text + "\n", f"analyze/{name}.json")


def test_without_shapes_there_are_no_numbers() -> None:
    """Every count is null, and so are the intensity and the roofline, unless it needs no size."""
    data = analyzed("attention-1pass")
    assert data["ops_count"] is None
    assert data["einsums"][5]["ops_count"] is None
    assert data["traffic"]["elements_count"] is None
    assert data["traffic"]["bytes"] is None
    assert data["intensity_ops_per_byte"] is None
    assert data["roofline"] is None
    assert data["passes"]["M"]["footprint_count"] is None
    assert data["passes"]["F"]["footprint_count"] == 0
    assert data["shapes"] == {}


def test_shapes_that_do_not_determine_a_number_leave_it_null() -> None:
    """With M alone the footprint is known, the operations are not."""
    data = analyzed("attention-3pass", shapes={"M": 64})
    assert data["passes"]["M"]["footprint_count"] == 64
    assert data["passes"]["M"]["kept"][0]["fibers_count"] is None
    assert data["ops_count"] is None


@pytest.mark.parametrize("name", names("cascades", ".cascade"))
def test_symbols_read_back_are_the_counts(name: str) -> None:
    """The text of every symbolic value, read by SymPy as the document says, gives the number beside it."""
    checked = check(load_cascade(name))
    known = set(shape_names(checked))
    shapes = {rank: size for rank, size in {**SIZES, "M0": 3, "W": 4}.items() if rank in known}
    for equation in checked.equations:  # a rank whose variable indexes another rank has its size
        if isinstance(equation.right, Name) and not equation.default:
            shapes.pop(equation.left, None)
    data = json.loads(json.dumps(analyze(checked, shapes).to_json()))
    compared = list(_pairs(data))
    assert compared
    for text, number in compared:
        if number is not None:
            assert value(text, data["shapes"]) == number, text


def _pairs(data: Any) -> Iterator[tuple[str, int | None]]:
    """Every symbolic text and the number beside it."""
    if isinstance(data, list):
        for item in data:
            yield from _pairs(item)
    elif isinstance(data, dict):
        for key, item in data.items():
            count = data.get(f"{key}_count")
            if key == "ops":
                yield from ((text, None if count is None else count[kind]) for kind, text in item.items())
            elif f"{key}_count" in data:
                yield item, count
            else:
                yield from _pairs(item)


def value(text: str, shapes: Mapping[str, int]) -> int:
    """A symbolic text with sizes put in."""
    symbols = {rank: sympy.Symbol(rank) for rank in shapes}
    expr = sympy.sympify(text, locals=symbols)
    return int(expr.subs({symbols[rank]: size for rank, size in shapes.items()}).doit())


def test_notes_are_text() -> None:
    """Notes come as messages, without places."""
    data = json.loads(json.dumps(analyze(parse("Z[m] = A[m]")).to_json()))
    assert [re.sub("'.*", "", note) for note in data["notes"]] == ["inferred as inputs, for no Einsum writes them: "]


def test_tiles_that_do_not_divide_round_the_fibers_up() -> None:
    """Three tiles of 2 queries for 5 of them."""
    data = analyzed("attention-3pass", shapes={**SHAPES, "B": 1, "H": 1, "P": 5}, tiles={"P": 2})
    kept = data["passes"]["M"]["kept"][0]
    assert (data["tiles"], kept["fibers"], kept["fibers_count"]) == ({"P": 2}, "B*H*P/2", 3)


def test_bytes_of_odd_words_are_rounded_up() -> None:
    """Three elements of 4 bit are two bytes."""
    data = json.loads(json.dumps(analyze(parse("Z = A[k] * B[k]"), {"K": 1}, word_bits=4).to_json()))
    assert (data["traffic"]["elements_count"], data["traffic"]["bytes"]) == (3, 2)
