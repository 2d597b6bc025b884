"""Parameters of words and cases are gone before a mapping is planned, and what remains says where it came from."""

from __future__ import annotations

import numpy as np
import pytest

from fusemax import FusemaxError, check, evaluate, load_arch, load_cascade, load_mapping
from fusemax.bind.bind import bind
from fusemax.bind.instantiate import concrete, instantiate
from fusemax.bind.parameters import Choice, choice_of, words_of
from fusemax.ir.mapping import Case, Hold
from fusemax.ir.walk import walk
from fusemax.syntax.mapping.parser import parse_mapping

FLAT = load_mapping("flat")
NESTED = """
mapping nested(a = x, b = y, keep = Z, none = ())
cascade matmul
arch flat-cloud
case a:
  x:
    case b:
      y:
        hold keep, A in buffer unless none
        for m, n: on array2d: Z over k
      z:
        wait A
  w:
    case c:
      v: for m: on array1d: Z over n, k
"""


def test_nothing_is_left_to_choose() -> None:
    """An instance has neither cases nor `unless` nor names of lists, and its lines have the places of the file."""
    made = instantiate(FLAT, choice_of(FLAT, {"P": 64}, {"kept": ("Q", "QK"), "qk": "weight"}))
    nodes = list(walk(made.body))
    assert not any(isinstance(node, Case) for node in nodes)
    holds = [node for node in nodes if isinstance(node, Hold)]
    assert [(hold.tensors, hold.unless) for hold in holds] == [
        (("Q", "QK"), None),
        (("A",), None),
        (("SN",), None),
        (("GM", "SD"), None),
    ]
    assert all(node.span is not None and node.span.source is FLAT.source for node in nodes)
    assert [parameter.name for parameter in made.parameters] == ["rows", "share"]


def test_an_instance_is_its_own() -> None:
    """Putting words into an instance again changes nothing, and the tree stays the same object."""
    made = instantiate(FLAT, choice_of(FLAT, {"P": 64}, {}))
    again = instantiate(made, choice_of(made, {"P": 64}, {}))
    assert again == made
    assert again.body is made.body


def test_cases_in_cases() -> None:
    """Of a case in a branch the branch is taken too; what is wrong in a branch that is not taken does not matter."""
    mapping = parse_mapping(NESTED, "nested.mapping")
    made = instantiate(mapping, Choice({}, words_of(mapping, {})))
    assert str(made).splitlines()[4:] == ["hold Z, A in buffer", "for m, n: on array2d: Z over k"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": "w"}, "mapping 'nested' has no parameter 'c'"),
        ({"b": "yy"}, "no case 'yy' of 'b'"),
        ({"b": 3}, "`case b`, but that parameter is a number and no word"),
        ({"a": "x y"}, "no case 'x y' of 'a'"),
    ],
)
def test_no_branch(given: dict[str, str | int], message: str) -> None:
    """A case without a branch for its word is refused at its line; those inside of it are not reached."""
    mapping = parse_mapping(NESTED, "nested.mapping")
    with pytest.raises(FusemaxError) as caught:
        instantiate(mapping, choice_of(mapping, {}, given))
    (problem,) = caught.value.problems
    assert problem.message == message
    assert problem.span is not None


def test_unknown_tensors_that_are_not_held() -> None:
    """A name before `unless` that is no tensor is refused also where the parameter lists it."""
    text = NESTED.replace("unless none", "unless keep").replace("hold keep, A", "hold Foo, A").replace("= Z", "= Foo")
    with pytest.raises(FusemaxError, match="unknown tensor 'Foo'"):
        evaluate("matmul", "flat-cloud", parse_mapping(text), {"M": 4, "N": 4, "K": 4})


def test_grids_of_numbers() -> None:
    """Parameters that are arrays stay names in the instance, and each point costs what it costs alone."""
    checked, arch = check(load_cascade("attention-3pass")), load_arch("flat-cloud")
    shapes = {"B": 1, "H": 2, "E": 64, "F": 64, "M": 1024, "P": 1024}
    rows = np.array([256, 512, 1024])
    bound = bind(checked, arch, FLAT, shapes, {"rows": rows, "share": np.array([0.0, 0.25, 0.5])})
    assert [parameter.name for parameter in bound.mapping.parameters] == ["rows", "share"]
    grid = evaluate(checked, arch, FLAT, shapes, parameters={"rows": rows, "share": np.array([0.0, 0.25, 0.5])})
    for at, (row, share) in enumerate(zip((256, 512, 1024), (0.0, 0.25, 0.5), strict=True)):
        one = evaluate(checked, arch, concrete(FLAT, {"rows": row, "share": share}), shapes)
        assert np.asarray(grid.latency_s)[at] == one.latency_s
        assert np.asarray(grid.dram_bytes)[at] == one.dram_bytes
