"""Mapping files are read as their language says, and what cannot be read is refused in words that a user can act on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from fusemax.errors import FusemaxError
from fusemax.ir.expr import Apply, Name, Number
from fusemax.ir.mapping import (
    Block,
    Case,
    Choose,
    Fit,
    For,
    Hold,
    Length,
    Mapping,
    Overlap,
    Parameter,
    Part,
    PlacedEinsum,
    Quantity,
    Split,
    Uncounted,
    UnitBlock,
)
from fusemax.syntax.load import load_mapping, load_workload
from fusemax.syntax.mapping.parser import parse_mapping
from fusemax.syntax.mapping.table import parse_table
from tests.conftest import Golden

FOLDER = Path(__file__).parents[2] / "mappings"
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.mapping"))
HEAD = "mapping m\ncascade c\narch a\n"

# Three shipped mappings in another layout: indented, and with comments at the ends of lines.
BINDING = """
    mapping fusemax-binding
    cascade attention-1pass
    arch    fusemax-cloud

    split m: m1, m0 = array2d.rows                          # the cascade splits m itself: this sets M0
    split p: p2, p1 = fit buffer, p0 = array2d.columns

    pipeline b, h, p2:
      hold Q, RM, RD, RNV in buffer
      for m1:
        hold BK, BV in buffer
        for p1:
          on array2d (rows: m0, columns: p0):
            BQK over e; LM; SLN; SLD; SLNV over f
          on array1d (lanes: p0):
            RM; PRM; SPD; RD; SPNV over f; RNV over f
      for p1:
        on array1d (lanes: p0): AV over f
"""
ARCHITECTURE = """
    mapping fusemax-architecture
    cascade attention-1pass
    arch    fusemax-cloud

    split m: m1, m0 = array2d.rows
    split p: p2, p1 = fit buffer, p0 = array2d.columns

    for b, h, p2:
      hold Q, RM, RD, RNV in buffer
      for m1:
        hold BK, BV in buffer
        stages p1:
          stage:
            on array2d (rows: m0, columns: p0): BQK over e; LM
            wait LM                                         # the column reduction drains before the next stage
            previous:                                       # for the tile before
              on array1d (lanes: p0): RD
              on array1d (lanes: p0): AV over f
          stage: on array1d (lanes: p0): RM
          stage:
            on array2d (rows: m0, columns: p0): SLN; SLD
            on array1d (lanes: p0): PRM; SPD
          stage:
            on array2d (rows: m0, columns: p0): SLNV over f
            on array1d (lanes: p0): SPNV over f; RNV over f
"""
FLAT = """
    mapping flat(rows = P, kept = QK A, qk = output, av = output, share = 0)
    cascade attention-3pass
    arch    flat-cloud
    choose  from flat.csv by model, seq

    split m: m1, m0 = array2d.rows
    split p: p2, p1 = rows / array2d.columns, p0 = array2d.columns      # rows: queries per fused block

    pipeline b, h, p2:
      hold kept in buffer spill share          # some of Q, K, V, QK, A, AV; A takes the place of QK
      hold QK, A in dram unless kept
      case qk:
        output:                                # QK stays in the elements while e runs
          for p1, m1:
            on array2d (rows: m0, columns: p0): QK over e
        weight:                                # K stays while all queries of the block pass
          for m1:
            on array2d (rows: e, columns: m0): QK over p1, p0
      for p1, p0:                              # one M fiber at a time
        hold QK in buffer unless kept
        hold SN in buffer spill share
        hold GM, SD in buffer
        for m1: on array1d (lanes: m0): GM
        for m1: on array1d (lanes: m0): SN chained; SD
        for m1: on array1d (lanes: m0): A
      case av:
        output:
          for p1: on array2d (rows: f, columns: p0): AV over m1, m0
        weight:
          for m1: on array2d (rows: m0, columns: f): AV over p1, p0
"""

ROWS, COLUMNS = Length(Name("array2d.rows")), Length(Name("array2d.columns"))
TILE = (("rows", "m0"), ("columns", "p0"))
LANES = (("lanes", "p0"),)
BINDING_IR = Mapping(
    name="fusemax-binding",
    parameters=(),
    cascade="attention-1pass",
    arch="fusemax-cloud",
    choose=None,
    splits=(
        Split("m", (Part("m1"), Part("m0", ROWS))),
        Split("p", (Part("p2"), Part("p1", Fit("buffer")), Part("p0", COLUMNS))),
    ),
    uncounted=None,
    body=(
        For(
            Overlap.PIPELINE,
            ("b", "h", "p2"),
            (
                Hold(("Q", "RM", "RD", "RNV"), "buffer"),
                For(
                    Overlap.FOR,
                    ("m1",),
                    (
                        Hold(("BK", "BV"), "buffer"),
                        For(
                            Overlap.FOR,
                            ("p1",),
                            (
                                UnitBlock(
                                    "array2d",
                                    TILE,
                                    (
                                        PlacedEinsum("BQK", ("e",)),
                                        PlacedEinsum("LM"),
                                        PlacedEinsum("SLN"),
                                        PlacedEinsum("SLD"),
                                        PlacedEinsum("SLNV", ("f",)),
                                    ),
                                ),
                                UnitBlock(
                                    "array1d",
                                    LANES,
                                    (
                                        PlacedEinsum("RM"),
                                        PlacedEinsum("PRM"),
                                        PlacedEinsum("SPD"),
                                        PlacedEinsum("RD"),
                                        PlacedEinsum("SPNV", ("f",)),
                                        PlacedEinsum("RNV", ("f",)),
                                    ),
                                ),
                            ),
                        ),
                    ),
                ),
                For(Overlap.FOR, ("p1",), (UnitBlock("array1d", LANES, (PlacedEinsum("AV", ("f",)),)),)),
            ),
        ),
    ),
)


# ------------------------------------------------------------------------------------------------- the shipped mappings


def test_six_mappings_are_shipped() -> None:
    """The folder holds five mappings of attention, and that of linear layers."""
    assert SHIPPED == ["flat", "fusemax-architecture", "fusemax-binding", "fusemax-cascade", "linear", "unfused"]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_mappings_are_read(name: str) -> None:
    """Every shipped mapping parses, is named like its file, says its source, and is in canonical form."""
    mapping = load_mapping(name)
    assert mapping.name == name
    assert "# Source: " in "\n".join(mapping.header_comments[0].above)
    assert str(mapping) == mapping.source.text
    assert parse_mapping(str(mapping)) == mapping


@pytest.mark.parametrize("text", [BINDING, ARCHITECTURE, FLAT], ids=["binding", "architecture", "flat"])
def test_another_layout_is_the_shipped_mapping(text: str) -> None:
    """Mappings in another layout parse to those that are shipped."""
    mapping = parse_mapping(text)
    assert mapping == load_mapping(mapping.name)


def test_a_whole_mapping() -> None:
    """The shipped +Binding is this IR, node by node."""
    assert load_mapping("fusemax-binding") == BINDING_IR


def test_a_size_and_what_is_uncounted() -> None:
    """+Cascade fits a size in bytes, and names what the published numbers leave out."""
    mapping = load_mapping("fusemax-cascade")
    assert mapping.splits[1].parts[1].extent == Fit(Quantity("16 MiB", 16 * 2**20))
    assert mapping.uncounted == Uncounted(("exp",))


def test_a_family_of_mappings() -> None:
    """FLAT's parameters are expressions, words and lists; its table is beside it."""
    mapping = load_mapping("flat")
    assert mapping.parameters == (
        Parameter("rows", Name("P")),
        Parameter("kept", ("QK", "A")),
        Parameter("qk", ("output",)),
        Parameter("av", ("output",)),
        Parameter("share", Number(0)),
    )
    assert mapping.choose == Choose("flat.csv", ("model", "seq"))
    assert mapping.splits[1].parts[1].extent == Length(Apply("div", (Name("rows"), Name("array2d.columns"))))
    assert dict(mapping.table[0])["kept"] == "QK A"


def test_unfused_has_three_phases() -> None:
    """Unfused attention is three phases, one after another."""
    body = load_mapping("unfused").body
    assert [type(node) for node in body] == [Block, Block, Block]


@pytest.mark.parametrize("row", load_mapping("flat").table, ids=lambda row: "-".join(value for _, value in row[:2]))
def test_the_choices_of_flat_follow_from_its_buffer(row: tuple[tuple[str, str], ...]) -> None:
    """A share is what a block needs beyond the buffer: what is kept of QK, two copies of held inputs, and the tiles.

    Source: the published choices of FLAT in FuseMax's artifact, whose shares all follow from this.
    """
    chosen = dict(row)
    length, rows, kept = int(chosen["seq"]), int(chosen["rows"]), chosen["kept"].split()
    width = load_workload(chosen["model"]).shapes["E"]
    product = length * rows if "QK" in kept else 0
    held = sum({"Q": rows, "K": length, "V": length}.get(tensor, 0) * width for tensor in kept)
    needed = product + 2 * held + 4 * 256 * width + 256**2
    assert float(chosen["share"]) == pytest.approx(max(0, 1 - 2**24 / needed), abs=1e-15)


def test_the_choices_of_flat_are_complete() -> None:
    """There is one row for each of the four models and six lengths, and QK is kept if and only if A is."""
    rows = [dict(row) for row in load_mapping("flat").table]
    lengths = {1024 * 4**i for i in range(6)}
    assert {(row["model"], int(row["seq"])) for row in rows} == {
        (model, length) for model in ("bert", "trxl", "t5", "xlm") for length in lengths
    }
    assert len(rows) == 24
    assert all(("QK" in row["kept"].split()) == ("A" in row["kept"].split()) for row in rows)


def test_the_table_is_plain_csv() -> None:
    """Other tools can read the table."""
    with (FOLDER / "flat.csv").open(encoding="utf-8", newline="") as file:
        assert csv.DictReader(file).fieldnames == "model seq rows kept qk av share".split()


# ------------------------------------------------------------------------------------------------------- the language


def body_of(text: str) -> tuple[object, ...]:
    """The outermost nodes of a mapping."""
    return parse_mapping(HEAD + text).body


def test_a_body_may_stand_behind_its_colon() -> None:
    """A single statement behind a colon is the same as one below it, also several times on one line."""
    assert body_of("for b: for h: stage: on u: A") == body_of("for b:\n  for h:\n   stage:\n       on u:\n         A")
    assert body_of("for b: for h:\n  wait A\n  on u: A") == body_of("for b:\n for h:\n  wait A\n  on u: A")


def test_einsums_are_separated_by_semicolons_and_lines() -> None:
    """Lines and semicolons mean the same in the body of a unit."""
    assert body_of("on u (x: p0): A over e; B chained; C") == body_of("on u (x: p0):\n  A over e\n  B chained; C")


def test_einsums_may_alternate() -> None:
    """Einsums between bars take turns; the groups are given by position."""
    assert body_of("on u: A; B over e, f chained | C; D | E") == (
        UnitBlock(
            "u",
            (),
            (PlacedEinsum("A"), PlacedEinsum("B", ("e", "f"), True), *map(PlacedEinsum, "CDE")),
            ((1, 2), (3, 4)),
        ),
    )


def test_a_case_has_bodies() -> None:
    """The values of a case have bodies of their own, below or behind."""
    assert body_of("case q:\n  x: on u: A\n  y:\n    wait B\n    on u: A") == (
        Case("q", (("x", body_of("on u: A")), ("y", body_of("wait B\non u: A")))),  # type: ignore[arg-type]
    )


def test_a_hold_has_options() -> None:
    """A tensor may be held unless a parameter lists it, and spill a share."""
    (hold,) = body_of("hold A, B in dram unless kept spill 1 - share / 2")
    half = Apply("div", (Name("share"), Number(2)))
    assert hold == Hold(("A", "B"), "dram", "kept", Apply("sub", (Number(1), half)))


def test_brackets_continue_a_line() -> None:
    """Inside brackets a line end is white space, and comments there are kept above the line."""
    mapping = parse_mapping("mapping m(a = 1, # one\n  b = QK A # two\n)\ncascade c\narch a\nfor b: on u (x:\n p0): A")
    assert mapping.parameters == (Parameter("a", Number(1)), Parameter("b", ("QK", "A")))
    assert mapping.header_comments[0].above == ("# one", "# two")
    assert mapping.body == body_of("for b: on u (x: p0): A")


def test_keywords_may_be_names() -> None:
    """A keyword is one only where nothing else fits."""
    assert body_of("for for, in: on on (on: over): over over over, chained chained; hold")[0] == For(
        Overlap.FOR,
        ("for", "in"),
        (UnitBlock("on", (("on", "over"),), (PlacedEinsum("over", ("over", "chained"), True), PlacedEinsum("hold"))),),
    )
    assert body_of("hold in, hold in in unless unless spill spill") == (
        Hold(("in", "hold"), "in", "unless", Name("spill")),
    )


def test_a_lone_word_is_read_by_its_use() -> None:
    """One word is a list where the parameter is used as one, in `case`, `hold` or `unless`, and else an expression."""
    head = "mapping m(a = x, b = QK, c = QK, d = P, e = ())\ncascade c\narch a\n"
    mapping = parse_mapping(head + "hold b in l unless c\ncase a:\n  x: on u: A")
    defaults = [parameter.default for parameter in mapping.parameters]
    assert defaults == [("x",), ("QK",), ("QK",), Name("P"), ()]


def test_the_margin_may_be_anywhere() -> None:
    """A text that is indented as a whole, with other line ends and a byte order mark, means the same."""
    text = HEAD + "for b:\n  hold Q in buffer\n  on u: A\n"
    indented = "".join(f"    {line}\r\n" for line in text.splitlines())
    assert parse_mapping("\ufeff" + indented) == parse_mapping(text)


def test_nodes_know_where_they_are() -> None:
    """Spans point at what a message about a node would be about."""
    mapping = parse_mapping(HEAD + "split p: p1, p0 = rows / 2\nfor b, h:\n  on u (x: p0): A; B over e\n", "m.mapping")
    (loop,) = mapping.body
    assert isinstance(loop, For)
    (on,) = loop.body
    assert isinstance(on, UnitBlock)
    nodes = (mapping.splits[0], mapping.splits[0].parts[1], loop, on, on.einsums[1])
    assert [(str(node.span), node.span and node.span.text) for node in nodes] == [
        ("m.mapping:4:1", "split p: p1, p0 = rows / 2"),
        ("m.mapping:4:14", "p0 = rows / 2"),
        ("m.mapping:5:1", "for b, h"),
        ("m.mapping:6:3", "on u (x: p0)"),
        ("m.mapping:6:20", "B over e"),
    ]


# ------------------------------------------------------------------------------------------------------------- refusals

MISTAKES = {
    "tab": "for b:\n\ton u: A",
    "invisible-blank": "for b:\n\xa0 on u: A",
    "indentation-that-fits-nothing": "for b:\n    hold Q in buffer\n  on u: A",
    "indentation-without-a-body": "for b:\n  hold Q in buffer\n    on u: A\n  on u: A; B\n    C",
    "empty-bodies": "for b:\nfor h:\n  on u (x: p0):\ncase qk:\n  output:\n  weight: on u: A",
    "missing-colons": (
        "for b\n  hold Q in buffer\n  on u (x: p0)\n    A; B over e\nfor b on u: A\n"
        "case qk\n  output\n    on u: A\nstage"
    ),
    "unknown-statements": "fro b:\n  hold Q in buffer\n  On u: A\nfor b: frobnicate Q\nfor b: fro h: on u: A\n3",
    "einsums-outside-of-a-unit": "for b:\n  A over e; B\n  C",
    "on-without-a-unit": "for b:\n  on (x: p0): A\n  on: A\n  on",
    "axes": "on u rows: m0: A\non u (rows m0): A\non u (): A\non u (x: m0, x: p0): A\non u (x: M0): A",
    "holds": (
        "hold Q\nhold in buffer\nhold Q in\nhold Q, in buffer\nhold Q K in buffer\nhold\nhold Q, Q in buffer\n"
        "hold Q in buffer spill s unless k\nhold Q in buffer spill\nhold Q in buffer unless\nhold Q in buffer K"
    ),
    "fits": (
        "split p: p1 = fit, p0 = 4\nsplit q: q1 = fit\nsplit r: r1 = fit 16\nsplit s: s1 = fit 16 MiX\n"
        "split t: t1 = fit 3 pJ\nfor b: on u: A"
    ),
    "unclosed-bracket": "for b:\n  on u (x: m0: A\n  hold Q in buffer\n  hold in buffer",
    "brackets": "for b:\n  on u (x: m0)): A\n  on u (x: m0]: A",
    "lengths": (
        "split p: p1 = rows /, p0 = 4\nsplit q: q1 = max(2, 3)\nsplit r: r1 == 3\nsplit s: s1 = 2 * * 3\n"
        "split t: t1 = 99999999999999999999\nsplit u: u1 = 1e999\nfor b: on u: A"
    ),
    "variables": "for b, b: on u: A\nfor M1: on u: A\nfor p': on u: A\nfor b h: on u: A\nfor b,: on u: A\nfor: on u: A",
    "einsums": (
        "for b:\n  on u:\n    A B\n    A;\n    ; A\n    A ||B\n    A over\n    A chained over e\n"
        "    hold Q in buffer\n    €"
    ),
    "cases": ("case\n  x: on u: A\ncase r:\n  x: on u: A\n  x: on u: B\n  for b: on u: C\ncase s: on u: A\ncase t: 3"),
    "bare-keywords": "wait\nwait A:\nfor\nfor b: hold\nsplit\nchoose",
    "choices": (
        "choose flat.csv by model\nchoose from flat.csv\nchoose from flat.csv by\npublished exp\npublished uncounted\n"
        "published uncounted exp max\nfor b: on u: A"
    ),
    "declared-twice": "split p: p0, p1\nsplit p: p0, p1\nsplit q: q0, q0\narch b\nfor b: on u: A",
    "misplaced-declarations": "for b:\n  arch x\n  on u: A\nsplit p: p0\nfor b: split p: p0",
    "without-a-loop": "split p: p0, p1",
    "too-deep": "for b: " * 60 + "on u: A\nsplit p: p1 = " + "(" * 60 + "1" + ")" * 60,
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained(name: str, golden: Golden) -> None:
    """All mistakes of a text are reported at once, each with its place and what to do; the whole text is expected."""
    text = HEAD + MISTAKES[name] + "\n"
    with pytest.raises(FusemaxError) as caught:
        parse_mapping(text, f"{name}.mapping")
    assert all(problem.span and problem.hint for problem in caught.value.problems)
    golden(f"{text}\n{caught.value}\n", f"mapping-mistakes/{name}.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m:1:1: no statement in this file\n  \n  ^\nhint: start with `mapping NAME`"),
        (
            "# nothing\nfor b: on u: A",
            """\
m:2:1: no line `mapping`
  for b: on u: A
  ^^^^^^^^^^^^^^
hint: add `mapping NAME`
m:2:1: no line `cascade`
  for b: on u: A
  ^^^^^^^^^^^^^^
hint: add `cascade NAME`
m:2:1: no line `arch`
  for b: on u: A
  ^^^^^^^^^^^^^^
hint: add `arch NAME`""",
        ),
        (
            "mapping m(a = , b = 1, b = 2)\ncascade\narch x y\nfor b: on u: A",
            """\
m:1:13: nothing behind '='
  mapping m(a = , b = 1, b = 2)
              ^
hint: add a number, a shape, a parameter or `unit.axis`
m:2:1: `cascade` with nothing behind it
  cascade
  ^^^^^^^
hint: write it like `cascade NAME`
m:3:8: unexpected 'y' after 'x'
  arch x y
         ^
hint: write it like `arch NAME`""",
        ),
        (
            HEAD + "for " + "b, " * 7000 + "c: on u: A",
            """\
m:4:1: a line of 21,014 characters; the longest that is read has 20,000
  for b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b, b...
  ^
hint: write one statement per line""",
        ),
        (
            HEAD + "wait A\n" * 20_000,
            """\
m:20001:1: 20,003 lines in one file; the most that are read are 20,000
  wait A
  ^
hint: cut the mapping into several files""",
        ),
        (
            HEAD + "".join(f"{' ' * i}for v{i}:\n" for i in range(60)),
            """\
m:55:52: bodies nested more than 50 deep
  for v51:
  ^
hint: nest fewer loops""",
        ),
    ],
    ids=["empty", "no header", "wrong header", "long line", "many lines", "many levels"],
)
def test_files_that_are_no_mapping(text: str, message: str) -> None:
    """Files without a needed statement, and texts that are no mapping at all, are refused."""
    with pytest.raises(FusemaxError) as caught:
        parse_mapping(text, "m")
    assert str(caught.value) == message


def test_there_is_no_such_mapping() -> None:
    """A name that is neither a file nor shipped is refused with the nearest that is."""
    with pytest.raises(FusemaxError) as caught:
        load_mapping("unfusd")
    assert str(caught.value) == "no file and no shipped mapping 'unfusd'\nhint: did you mean 'unfused'?"


# ----------------------------------------------------------------------------------------------------------- the table

FAMILY = "mapping m(rows = P, kept = QK A)\ncascade c\narch a\nchoose from t.csv by model, seq\nfor b: on u: A"


def test_a_table_is_found_beside_its_mapping(tmp_path: Path) -> None:
    """The table of a mapping file is looked for in the folder of the file."""
    (tmp_path / "m.mapping").write_text(FAMILY, encoding="utf-8")
    (tmp_path / "t.csv").write_text("model, seq, kept\nbert, 1024, Q QK\n\n", encoding="utf-8")
    mapping = load_mapping(tmp_path / "m.mapping")
    assert mapping.table == ((("model", "bert"), ("seq", "1024"), ("kept", "Q QK")),)


def test_a_table_is_missing(tmp_path: Path) -> None:
    """A table that is not there is refused at the line that names it."""
    (tmp_path / "m.mapping").write_text(FAMILY, encoding="utf-8")
    with pytest.raises(FusemaxError) as caught:
        load_mapping(tmp_path / "m.mapping")
    assert str(caught.value).replace(str(tmp_path), "") == (
        "/m.mapping:4:1: no table 't.csv' beside the mapping\n"
        "  choose from t.csv by model, seq\n"
        "  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "hint: check the name"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "the table 't.csv' is empty\nhint: its first line names the columns"),
        ('model,seq\n"bert,1', "'t.csv' is not a table: unexpected end of data\nhint: separate columns with ','"),
        (
            "model,row,row\nbert,1\n\nbert,1,2,3\n",
            """\
t.csv:1:1: no column 'seq' in the table
  model,row,row
  ^^^^^^^^^^^^^
hint: the mapping chooses by 'model' and 'seq'
t.csv:1:1: column 'row' is no parameter of 'm'
  model,row,row
  ^^^^^^^^^^^^^
hint: did you mean 'rows'?
t.csv:1:1: a second column 'row'
  model,row,row
  ^^^^^^^^^^^^^
hint: keep one
t.csv:2:1: a row with 2 cells for 3 columns
  bert,1
  ^^^^^^
hint: the table has the columns 'model', 'row' and 'row'
t.csv:4:1: a row with 4 cells for 3 columns
  bert,1,2,3
  ^^^^^^^^^^
hint: the table has the columns 'model', 'row' and 'row'""",
        ),
        (
            "model,seq,rows\nbert,1,1\nbert,2,1\nbert,1,2\n",
            """\
t.csv:4:1: a second row for bert, 1
  bert,1,2
  ^^^^^^^^
hint: keep one""",
        ),
    ],
    ids=["empty", "broken", "columns", "rows"],
)
def test_tables_that_do_not_fit(text: str, message: str) -> None:
    """A table must have the columns that its mapping chooses by, beside them parameters, and one row a choice."""
    with pytest.raises(FusemaxError) as caught:
        parse_table(text, "t.csv", parse_mapping(FAMILY))
    assert str(caught.value) == message
