"""Printed mappings read back as themselves, and printing what was read keeps its comments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from fusemax.ir.expr import Apply, Expr, Name, Number
from fusemax.ir.mapping import (
    Block,
    BlockKind,
    Case,
    Choose,
    Fit,
    For,
    Hold,
    Length,
    Mapping,
    Node,
    Overlap,
    Parameter,
    Part,
    PlacedEinsum,
    Quantity,
    Split,
    Uncounted,
    UnitBlock,
    Wait,
)
from fusemax.syntax.mapping.parser import parse_mapping

pytestmark = pytest.mark.slow

FILES = sorted((Path(__file__).parents[2] / "mappings").glob("*.mapping"))

# -------------------------------------------------------------------------------------------------------- strategies

VARIABLES = st.sampled_from("b h m1 m0 p2 p1 p0 e f for in over chained".split())
TENSORS = st.sampled_from("Q K QK A AV Z' hold in on unless spill over chained stage".split())
WORDS = st.sampled_from("array2d buffer dram rows kept output weight mapping case fit".split())
FEW = st.integers(1, 3)


def several(names: SearchStrategy[str]) -> SearchStrategy[tuple[str, ...]]:
    """A few different names."""
    return st.lists(names, min_size=1, max_size=4, unique=True).map(tuple)


def operations(args: SearchStrategy[Expr]) -> SearchStrategy[Expr]:
    """An operator of lengths applied to two of them."""
    return st.builds(Apply, st.sampled_from("add sub mul div".split()), st.tuples(args, args))


NUMBERS = st.integers(0, 10**18 - 1) | st.floats(0, 1e300)
LEAVES = st.builds(Number, NUMBERS) | st.builds(Name, st.sampled_from("P rows array2d.rows array1d.lanes".split()))
EXPRESSIONS = st.recursive(LEAVES, operations, max_leaves=6)
QUANTITIES = st.sampled_from([Quantity("16 MiB", 2**24), Quantity("1.5 KiB", 1536), Quantity("512bit", 64)])
EXTENTS = st.none() | st.builds(Length, EXPRESSIONS) | st.builds(Fit, WORDS.filter(lambda w: w != "fit") | QUANTITIES)
PLACED = st.builds(PlacedEinsum, TENSORS, st.just(()) | several(VARIABLES), st.booleans())


@st.composite
def ons(draw: DrawFn) -> UnitBlock:
    """Einsums on a unit, some of which alternate."""
    turns = draw(st.lists(st.lists(PLACED, min_size=1, max_size=3), min_size=1, max_size=5))
    starts = [sum(map(len, turns[:i])) for i in range(len(turns))]
    alternating = tuple(
        tuple(range(start, start + len(turn))) for start, turn in zip(starts, turns, strict=True) if len(turn) > 1
    )
    axes = tuple((axis, draw(VARIABLES)) for axis in draw(st.just(()) | several(WORDS)))
    return UnitBlock(draw(WORDS), axes, tuple(placed for turn in turns for placed in turn), alternating)


LINES: SearchStrategy[Node] = (
    st.builds(Hold, several(TENSORS), WORDS, st.none() | WORDS, st.none() | EXPRESSIONS)
    | st.builds(Wait, TENSORS)
    | ons()
)


def with_bodies(nodes: SearchStrategy[Node]) -> SearchStrategy[Node]:
    """Loops, blocks and cases around nodes."""
    bodies = st.lists(nodes, min_size=1, max_size=3).map(tuple)
    branches = st.lists(st.tuples(WORDS, bodies), min_size=1, max_size=3, unique_by=lambda branch: branch[0]).map(tuple)
    return (
        st.builds(For, st.sampled_from(Overlap), several(VARIABLES), bodies)
        | st.builds(Block, st.sampled_from(BlockKind), bodies)
        | st.builds(Case, WORDS, branches)
    )


NODES = st.recursive(LINES, with_bodies, max_leaves=8)


@st.composite
def mappings(draw: DrawFn) -> Mapping:
    """Any mapping that can be written; whether it makes sense is another matter.

    A single word as default is an expression, unless the mapping uses the parameter as a list: these are named apart.
    """
    parts = st.lists(st.builds(Part, VARIABLES, EXTENTS), min_size=1, max_size=3, unique_by=lambda part: part.variable)
    splits = st.lists(st.builds(Split, VARIABLES, parts.map(tuple)), max_size=3, unique_by=lambda split: split.variable)
    lists = st.just(()) | st.lists(WORDS, min_size=2, max_size=3).map(tuple)
    defaults = st.builds(Number, NUMBERS) | operations(EXPRESSIONS) | lists
    parameters = st.builds(Parameter, st.sampled_from("rows kept share fit".split()), defaults)
    words = st.builds(Parameter, st.just("a_word"), st.tuples(WORDS))
    used: tuple[Node, ...] = (Case("a_word", (("x", (Wait("A"),)),)),)
    return Mapping(
        draw(st.sampled_from(["flat", "fusemax-binding", "2.1"])),
        (*draw(st.lists(parameters, max_size=3, unique_by=lambda p: p.name)), *draw(st.tuples(words))),
        draw(st.sampled_from(["attention-3pass", "../own/x.cascade"])),
        draw(st.sampled_from(["flat-cloud", "own.yaml"])),
        draw(st.none() | st.builds(Choose, st.sampled_from(["flat.csv", "a/b-2.csv"]), several(WORDS))),
        tuple(draw(splits)),
        draw(st.none() | st.builds(Uncounted, several(WORDS))),
        (*draw(st.lists(NODES, max_size=4)), *used),
    )


# -------------------------------------------------------------------------------------------------------------- tests


@given(mappings())
def test_what_is_printed_reads_back(mapping: Mapping) -> None:
    """The text of a mapping parses to the same mapping, and prints as the same text again."""
    text = str(mapping)
    assert parse_mapping(text) == mapping
    assert str(parse_mapping(text)) == text


COMMENTED = """\
# at the top

# of the file
mapping m  # name
# the cascade
cascade c  # its name
arch    a
# before the choice
choose  from t.csv by model  # chosen
published uncounted exp  # not counted

# on splits
split m: m1, m0 = 4  # inside

# on loops
for b, h:  # outside
  # of a hold
  hold Q in buffer  # held

  case q:  # a case
    # of x
    x:  # if x
      wait A
      on u (x: m0): A
    y: on u (x: m0): A  # else
  on u (x: p0):  # a unit
    # first
    A over e; B  # second
    C | D

    E
  for m1:
    # alone
    on u (x: m0): F
  wait F  # at the end

# below
# all"""


def test_comments_are_kept() -> None:
    """Comments above, behind and below lines, and the first blank line of several, stay where they are."""
    assert str(parse_mapping(COMMENTED)) == COMMENTED + "\n"
    assert str(parse_mapping(re.sub(r"\n\n", "\n\n\n", COMMENTED) + "\n\n")) == COMMENTED + "\n"


def test_the_canonical_form() -> None:
    """Declarations in their order, two blanks a level, single units behind the colon if there is room, one spelling."""
    text = """

split  p : p1,p0=(rows)/ ( 2*array2d.rows )
arch a
mapping   m( rows=P ,kept=QK   A )
published uncounted exp
choose from t.csv by model
cascade c
for   b ,h :
        stage :
             on u(x:p0):
                A over e ;B
                C
        on u:
                LongEinsum1 over e; LongEinsum2 over e; LongEinsum3 over e
                LongEinsum4 over e; LongEinsum5 over e; LongEinsum6 over e
"""
    assert str(parse_mapping(text)) == (
        """\
mapping m(rows = P, kept = QK A)
cascade c
arch    a
choose  from t.csv by model
published uncounted exp

split p: p1, p0 = rows / (2 * array2d.rows)

for b, h:
  stage: on u (x: p0): A over e; B; C
  on u:
    LongEinsum1 over e; LongEinsum2 over e; LongEinsum3 over e; LongEinsum4 over e; LongEinsum5 over e
    LongEinsum6 over e
"""
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_damaged_layouts_print_the_same(path: Path) -> None:
    """Deeper indentation, blank-free operators and bodies on lines of their own change nothing in what is printed."""
    text = path.read_text(encoding="utf-8")
    spread = re.sub(r"^( +)", r"\1\1\1", text, flags=re.MULTILINE).replace(" = ", "=").replace(", ", " ,")
    assert parse_mapping(spread) == parse_mapping(text)
    code = [line.rstrip() for line in re.sub(r"#.*", "", text).splitlines()]
    printed = str(parse_mapping(re.sub(r"#.*", "", spread))).splitlines()
    assert [line for line in printed if line] == [line for line in code if line]
