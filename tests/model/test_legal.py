"""Refusals of mappings: the whole text of each, each with a near miss that is accepted.

In the files of cases (tests/refusals.py) every line has two characters in front: `- ` is in the refused mapping only,
`+ ` in the accepted one only. `# with M=512 rows=64` gives sizes of ranks and values of parameters.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from fusemax import FusemaxError, check, evaluate, load_arch, load_cascade, load_mapping, parse
from fusemax.bind.bind import bind
from fusemax.bind.extents import Amount
from fusemax.bind.legal.fusion import shares_of
from fusemax.bind.parameters import value_of_text
from fusemax.cli import run
from fusemax.ir.arch import Arch, Operation
from fusemax.ir.checked import Checked
from fusemax.ir.expr import Apply, Name, Number
from fusemax.ir.mapping import For, Length, Mapping, Overlap, PlacedEinsum, Split, UnitBlock
from fusemax.model import Estimate
from fusemax.syntax.mapping.parser import parse_mapping
from tests.conftest import Golden
from tests.refusals import cases, rendered

FILES = ("structure", "variables", "splits", "room", "holds", "order", "fusion", "machine")
SIZES = {"B": 1, "H": 1, "E": 64, "F": 64, "K": 256, "N": 1024, "M": 1024, "P": 1024, "I": 64}
OWN = {
    # What fusions of the kind of FlashAttention look like to who cannot see into the softmax.
    "opaque": """\
op     f(x) = exp(x)
input  Q[B, H, E, P], K[B, H, E, M], V[B, H, F, M]
output AV[B, H, F, P]
QK[b, h, m, p] = Q[b, h, e, p] * K[b, h, e, m]
SM[b, h, m, p] = f(QK[b, h, m, p])
AV[b, h, f, p] = SM[b, h, m, p] * V[b, h, f, m]""",
    "running": "input A[I]\noutput Z\nRY[0] = 0\nloop i:\n  RY[i+1] = RY[i] + A[i]\nstop: i >= I\nfinal:\n  Z = RY[I] * 2",
    "twice": "input A[K, M, N], B[K]\noutput Z[M, N]\nY[m, n] = A[k, m, n]\nZ[m, n] = Y[m, n] * B[k]",
    "between": "input A[M]\noutput Z[M]\nS = A[m]\nT = S * S\nZ[m] = A[m] * T",
    "gated": "op g(x) = x * exp(x)\ninput A[M]\noutput Z[M]\nZ[m] = g(A[m])",
    "copied": "input A[M]\noutput Z[M]\nB[m] = A[m]\nT[m] = B[m] * 2\nZ[m] = T[m]",
    "column-sums": "input A[K, M]\noutput Z[M]\nZ[m] = A[k, m]",
}


@cache
def cascade(name: str) -> Checked:
    """A cascade of this file, or a shipped one."""
    return check(parse(OWN[name], f"{name}.cascade") if name in OWN else load_cascade(name))


@cache
def machine(name: str) -> Arch:
    """A shipped architecture whose last unit can do also what `opaque` calls f."""
    arch = load_arch(name)
    last = arch.units[-1]
    return replace(arch, units=(*arch.units[:-1], replace(last, ops=(*last.ops, Operation("f", 1, 0.0)))))


def variant(text: str, mark: str) -> str:
    """The lines of a case that are in both mappings, and those with one mark: `- ` the refused, `+ ` the accepted."""
    return "\n".join(line[2:] for line in text.splitlines() if line[:2] in ("", "  ", mark))


def costed(text: str) -> Estimate:
    """The cost of a mapping at the sizes of this file, or at those that it says itself."""
    mapping = parse_mapping(text, "a.mapping")
    checked = cascade(mapping.cascade)
    said = dict(item.split("=") for line in re.findall(r"# with (.*)", text) for item in line.split())
    sizes = {rank: SIZES[rank] for rank in checked.ranks if rank in SIZES}
    sizes |= {name: int(value) for name, value in said.items() if name.isupper()}
    values = {name: value_of_text(mapping, name, value) for name, value in said.items() if name.islower()}
    return evaluate(checked, machine(mapping.arch), mapping, sizes, parameters=values)


def refusal(text: str) -> str:
    """The message with which the refused mapping of a case is refused."""
    with pytest.raises(FusemaxError) as caught:
        costed(variant(text, "- "))
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_refusals(name: str, golden: Golden) -> None:
    """Each mapping is refused with exactly the message that the file has below it."""
    golden(rendered(f"mapping-{name}", refusal), f"refusals/mapping-{name}.txt")


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=title) for name in FILES for title, text in cases(f"mapping-{name}")]
)
def test_near_misses(text: str) -> None:
    """The same mapping with a few other lines is accepted."""
    assert variant(text, "- ") != variant(text, "+ ")
    assert costed(variant(text, "+ ")).cycles > 0


# ---------------------------------------------------------------------------------------- mappings and sizes as data

GEMM = parse_mapping(
    "mapping a\ncascade matmul\narch flat-cloud\nsplit m: m1, m0 = 256\nfor m1, n: on array1d (lanes: m0): Z over k",
    "a.mapping",
)


def gemm(mapping: Mapping, **sizes: Amount) -> Estimate:
    """The cost of a product at sizes that may be arrays."""
    return evaluate(cascade("matmul"), machine("flat-cloud"), mapping, {"K": 4, "M": 512, "N": 2, **sizes})


def refused(mapping: Mapping, **sizes: Amount) -> str:
    """The message with which a product is refused."""
    with pytest.raises(FusemaxError) as caught:
        gemm(mapping, **sizes)
    return str(caught.value)


def test_an_axis_named_twice() -> None:
    """A mapping that no text can say: one axis with two variables."""
    body = (
        For(
            Overlap.FOR,
            ("m1",),
            (UnitBlock("array1d", (("lanes", "m0"), ("lanes", "n")), (PlacedEinsum("Z", ("k",)),)),),
        ),
    )
    assert refused(replace(GEMM, body=body)) == "axis 'lanes' of 'array1d' is named twice\nhint: keep one"


def test_a_length_of_another_kind() -> None:
    """A mapping that no text can say: an extent that is no sum, difference, product or quotient."""
    longest = Length(Apply("max", (Name("M"), Number(2))))
    split = Split("m", (GEMM.splits[0].parts[0], replace(GEMM.splits[0].parts[1], extent=longest, span=None)))
    assert refused(replace(GEMM, splits=(split,))) == ("a length that is not made of + - * /\nhint: write `rows / 256`")


def test_a_grid_of_sizes() -> None:
    """A grid is refused for the first of its points that is wrong, by the same words as a point."""
    assert np.shape(gemm(GEMM, M=np.array([256, 1024])).cycles) == (2,)
    place = "a.mapping:4:14: {}\n  split m: m1, m0 = 256\n               ^^^^^^^^\nhint: give sizes that divide"
    assert refused(GEMM, M=np.array([256, 300, 500])) == place.format("300 is not a multiple of 256")
    assert refused(GEMM, M=300) == place.format("300 is not a multiple of 256")


def test_a_grid_that_lacks_a_size() -> None:
    """A grid needs a size for every rank."""
    with pytest.raises(FusemaxError) as caught:
        evaluate(cascade("matmul"), machine("flat-cloud"), GEMM, {"M": np.array([256, 512]), "K": 4})
    assert str(caught.value) == "no size for 'N'\nhint: give it, for instance `--shape N=64`"


def test_a_grid_of_sizes_that_contradict_each_other() -> None:
    """A grid keeps to the equations between sizes at each of its points."""
    checked, mapping = cascade("attention-1pass"), load_mapping("fusemax-cascade")
    sizes: dict[str, Amount] = {"B": 1, "H": 1, "E": 64, "F": 64, "P": 256, "M": np.array([512, 1024])}
    assert np.shape(evaluate(checked, machine("flat-cloud"), mapping, {**sizes, "M1": np.array([2, 4])}).cycles) == (2,)
    with pytest.raises(FusemaxError, match="does not hold with M1 = 5, M = 1024, M0 = 256"):
        evaluate(checked, machine("flat-cloud"), mapping, {**sizes, "M1": np.array([2, 5])})


def test_parameters_that_a_mapping_has_not() -> None:
    """Values are given to parameters that there are."""
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}
    flat = load_mapping("flat")
    said = {"rws": "did you mean 'rows'?", "zzz": "its parameters are 'rows', 'kept', 'qk', 'av' and 'share'"}
    for name, hint in said.items():
        with pytest.raises(FusemaxError) as caught:
            evaluate(cascade("attention-3pass"), machine("flat-cloud"), flat, shapes, parameters={name: 1})
        assert str(caught.value) == f"mapping 'flat' has no parameter '{name}'\nhint: {hint}"
    with pytest.raises(FusemaxError, match="mapping 'a' has no parameter 'rows'\nhint: it has no parameters"):
        evaluate(cascade("matmul"), machine("flat-cloud"), GEMM, {"K": 4, "M": 512, "N": 2}, parameters={"rows": 1})
    found = evaluate(cascade("attention-3pass"), machine("flat-cloud"), flat, shapes, parameters={"rows": 256})
    assert found.cycles > 0


def test_shares_of_a_grid() -> None:
    """The shares of all points are looked at; not a number is none."""
    plan = bind(
        cascade("softmax-stable"), machine("flat-cloud"),
        parse_mapping("mapping a(share = 0)\ncascade softmax-stable\narch flat-cloud\n"
                      "for p:\n  hold X, SN in buffer spill share\n  on array1d: GM over m; SN over m; SD over m; A over m"),
        {"M": 4, "P": 4}, {"share": np.array([0.0, 1.0, 0.5])},
    ).plan  # fmt: skip
    assert list(shares_of(plan)) == []
    for share, shown in (([0.0, -0.25], "-0.25"), ([1.5, 0.0], "1.5"), ([0.5, float("nan")], "nan")):
        spilt = replace(plan, holds=tuple(replace(hold, spill=np.array(share)) for hold in plan.holds))
        assert [p.message for p in shares_of(spilt)] == [f"'{name}' spills a share of {shown}" for name in ("X", "SN")]


@pytest.mark.parametrize("name", ["flat", "fusemax-architecture", "fusemax-binding", "fusemax-cascade", "unfused"])
def test_another_architecture(name: str) -> None:
    """A mapping on an architecture that lacks its units is refused for all of them at once, each at its place."""
    mapping = load_mapping(name)
    arch = machine(mapping.arch)
    renamed = replace(arch, name="other", units=tuple(replace(unit, name=f"{unit.name}s") for unit in arch.units))
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}
    splits = tuple(
        replace(split, parts=tuple(replace(p, extent=Length(Number(256))) if p.variable in ("m0", "p0") else p for p in split.parts))
        for split in mapping.splits
    )  # fmt: skip
    plain = replace(mapping, splits=splits)
    with pytest.raises(FusemaxError) as caught:
        evaluate(cascade(mapping.cascade), renamed, plain, shapes)
    said = {problem.message for problem in caught.value.problems}
    assert said == {"'other' has no unit 'array1d'", "'other' has no unit 'array2d'"}
    assert all(problem.span for problem in caught.value.problems)
    assert evaluate(cascade(mapping.cascade), arch, plain, shapes).cycles > 0


# ----------------------------------------------------------------------------------------------------- files of any kind

HEAD = "mapping a\ncascade matmul\narch flat-cloud\n"
BODY = "for m, n: on array1d: Z over k\n"
HOSTILE = {
    "nothing": b"",
    "comments": b"# only\n",
    "bytes": b"\0\xff" * 40,
    "another encoding": (HEAD + BODY).encode("utf-16"),
    "invisible": f"{HEAD}\0{BODY}".encode(),
    "no such cascade": HEAD.replace("matmul", "matmull").encode() + BODY.encode(),
    "a cascade that is a mapping": HEAD.replace("matmul", "hostile.mapping").encode() + BODY.encode(),
    "no such architecture": HEAD.replace("flat-cloud", "../flat-clod").encode() + BODY.encode(),
    "loops without end": f"{HEAD}{'for m: ' * 80}on array1d: Z".encode(),
    "a long line": f"{HEAD}for {'m, ' * 9000}n: on array1d: Z over k".encode(),
    "huge numbers": f"{HEAD}split m: m1, m0 = {'9' * 18} * {'9' * 18}\nfor m1, m0, n: on array1d: Z over k".encode(),
    "parameters of each other": (
        HEAD.replace(" a\n", " a(x = y, y = x)\n") + "split m: m1, m0 = x\nfor m1, m0, n: on array1d: Z over k"
    ).encode(),
    "only holds": f"{HEAD}hold A in buffer\n".encode(),
    "an input placed": f"{HEAD}for m, n: on array1d: A; Z over k\n".encode(),
    "a memory for a unit": f"{HEAD}hold A in array1d\nfor m, n: on buffer: Z over k\n".encode(),
    "a wait for nothing": f"{HEAD}{BODY}wait Z\n".encode(),
    "a wait for nobody": f"{HEAD}stages m:\n  stage:\n    for n: on array1d: Z over k\n    wait \u2200\n".encode(),
    "a table that is a folder": f"{HEAD}choose from . by model\n{BODY}".encode(),
    "phases twice": f"{HEAD}phase: {BODY}phase: {BODY}".encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_of_any_kind(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For any file `evaluate` reports its mistake in a few lines, and `show` prints it or reports the mistake, too."""
    monkeypatch.chdir(tmp_path)
    Path("hostile.mapping").write_bytes(HOSTILE[name])
    sizes = ("--shape", "K=8,M=1024,N=4")
    for arguments in (("evaluate", "--mapping", "hostile.mapping", *sizes), ("show", "hostile.mapping", *sizes)):
        assert run([*arguments]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err
        assert len(captured.err) < 4000
        assert "Traceback" not in captured.err
    assert run(["show", "hostile.mapping"]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err
