"""How spaces are searched: templates, what users fix, ties, annealing, several processes, and interruptions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fusemax import Estimate, FusemaxError, check, evaluate, load_arch, load_cascade, load_mapping, parse, simulate
from fusemax.bind.instantiate import concrete
from fusemax.bind.parameters import ParameterValue
from fusemax.ir.mapping import Mapping
from fusemax.mapper import MapResult, map_cascade
from fusemax.mapper.constraints import Fixed
from fusemax.mapper.cost.candidates import Candidates, Costs, cost
from fusemax.mapper.objective import Objective
from fusemax.mapper.space.protocol import Cutoff
from fusemax.mapper.space.template import Template
from fusemax.model.energy import Accounting
from fusemax.syntax.mapping.parser import parse_mapping
from tests.sim.machines import small

pytestmark = pytest.mark.slow

MATMUL = {"M": 8, "N": 4, "K": 6}
ARCH = small(lengths=4)
FLAT = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 4096, "P": 4096}
OPEN = """
mapping open
cascade matmul
arch fusemax-cloud
split m: m2, m1 = ?, m0 = 4
split n: n1, n0 = 4
pipeline m2, n1:
  hold B in buffer
  for m1: on array2d (rows: m0, columns: n0): Z over k
"""


def matmul(**options: object) -> MapResult:
    """A search of all mappings of a product of matrices on a machine of 4 x 4."""
    return map_cascade("matmul", ARCH, MATMUL, **options)  # type: ignore[arg-type]


def texts(result: MapResult) -> list[str]:
    """The mappings found, as files have them."""
    return [str(found.mapping) for found in result.best]


# ----------------------------------------------------------------------------------------------------------- templates


def test_open_extents() -> None:
    """A `?` is every divisor of what it splits; the best of them is costed as the mapping with its number is."""
    template = parse_mapping(OPEN)
    shapes = {"M": 48, "N": 8, "K": 6}
    space = Template(check(load_cascade("matmul")), ARCH, template, shapes, Fixed())
    assert sorted(space.grid["m1_extent"].tolist()) == [1, 2, 3, 4, 6, 12]
    result = map_cascade("matmul", ARCH, shapes, template=template, objective="dram", top=9)
    best = min(
        float(evaluate("matmul", ARCH, parse_mapping(OPEN.replace("?", str(m1))), shapes).dram_bytes)
        for m1 in (1, 2, 3, 4, 6, 12)
    )
    assert float(result.best[0].estimate.dram_bytes) == best
    assert "?" not in texts(result)[0]
    assert result.statistics.costed == 6


def test_words() -> None:
    """Words that `case` looks at are its branches, and a list of tensors is every subset of what it may name."""
    template = load_mapping("flat")
    checked, arch = check(load_cascade("attention-3pass")), load_arch("flat-cloud")
    space = Template(checked, arch, template, FLAT, Fixed())
    assert {words["qk"] for words in space.words} == {("output",), ("weight",)}
    assert {words["av"] for words in space.words} == {("output",), ("weight",)}
    kept = {words["kept"] for words in space.words}
    assert () in kept
    sets = {frozenset(words) for words in kept if isinstance(words, tuple)}
    assert sets >= {frozenset(("QK", "A")), frozenset(("Q", "AV")), frozenset("QKV")}
    assert len(space.words) == 4 * len(kept)
    fixed = Fixed(words={"qk": ("weight",), "kept": ("QK", "A")})
    assert {words["qk"] for words in Template(checked, arch, template, FLAT, fixed).words} == {("weight",)}
    assert len(Template(checked, arch, template, FLAT, fixed).words) == 2


def test_the_smallest_share() -> None:
    """A share to spill is the smallest with which all fits: a little less does not."""
    checked, arch, template = check(load_cascade("attention-3pass")), load_arch("flat-cloud"), load_mapping("flat")
    fixed = Fixed(numbers={"rows": 4096}, words={"kept": ("QK", "A"), "qk": ("output",), "av": ("output",)})
    space = Template(checked, arch, template, FLAT, fixed)
    assert space.share == "share"

    def shares(space: Template) -> tuple[Candidates, float]:
        (structure,) = space.structures()
        assert not isinstance(structure, Cutoff)
        (candidates,) = space.batches(structure)
        found = cost(checked, arch, candidates, space.shapes, Accounting.FULL).share
        assert found is not None
        return candidates, float(found[0])

    candidates, share = shares(space)
    assert 0 < share < 0.02
    parameters = candidates.member(0)
    evaluate(checked, arch, template, FLAT, parameters={**parameters, "share": share})
    with pytest.raises(FusemaxError, match="less than the tiles held at once"):
        evaluate(checked, arch, template, FLAT, parameters={**parameters, "share": share - 1e-6})
    roomy = Template(checked, arch, template, {**FLAT, "M": 1024, "P": 1024}, replace(fixed, numbers={"rows": 1024}))
    assert shares(roomy)[1] == 0


def test_templates_without_numbers() -> None:
    """A mapping that leaves nothing open is a space of itself alone."""
    text = OPEN.replace("?", "2")
    result = map_cascade("matmul", ARCH, {"M": 8, "N": 4, "K": 6}, template=parse_mapping(text))
    assert result.statistics.costed == len(result.best) == 1
    assert result.statistics.proven
    assert (
        result.best[0].estimate.cycles == evaluate("matmul", ARCH, parse_mapping(text), {"M": 8, "N": 4, "K": 6}).cycles
    )


def test_no_divisor_fits() -> None:
    """Sizes that no value of an open length divides are refused."""
    with pytest.raises(FusemaxError, match="no value of the open lengths divides the ranks that they split"):
        map_cascade("matmul", ARCH, {"M": 7, "N": 4, "K": 6}, template=parse_mapping(OPEN))


# ------------------------------------------------------------------------------------------------------------ concrete


@pytest.mark.parametrize(
    "parameters",
    [
        {"rows": 1024, "kept": ("QK", "A"), "qk": ("output",), "av": ("output",), "share": 0},
        {"rows": 256, "kept": ("Q", "AV"), "qk": ("weight",), "av": ("weight",), "share": 0},
        {"rows": 4096, "kept": ("QK", "A"), "qk": ("output",), "av": ("weight",), "share": 0.25},
        {"rows": 512, "kept": (), "qk": ("weight",), "av": ("output",), "share": 0},
    ],
)
def test_concrete(parameters: dict[str, ParameterValue]) -> None:
    """With values in the places of its parameters a mapping costs what it costs with parameters, also as a file."""
    template = load_mapping("flat")
    mapping = concrete(template, parameters)
    assert mapping.parameters == ()
    assert parse_mapping(str(mapping)) is not None
    expected = evaluate("attention-3pass", "flat-cloud", template, FLAT, parameters=parameters)
    for each in (mapping, parse_mapping(str(mapping))):
        assert costs(evaluate("attention-3pass", "flat-cloud", each, FLAT)) == costs(expected)


def costs(estimate: Estimate) -> tuple[float, ...]:
    """The figures of an estimate that are compared."""
    return tuple(
        float(value) for value in (estimate.latency_s, estimate.energy_j, estimate.dram_bytes, estimate.cycles)
    )


# --------------------------------------------------------------------------------------------------------------- fixed


def test_fixed_units_and_lengths() -> None:
    """Einsums are on the unit that is asked for, and lengths are those that are asked for."""
    for unit in ("array1d", "array2d"):
        assert all(f"on {unit} " in text for text in texts(matmul(fix=["Z=" + unit])))
    assert all("m1 = 2" in text for text in texts(matmul(fix=["m1=2", "Z=array2d"])) if "m1 =" in text)
    assert any("m1 = 2" in text for text in texts(matmul(fix=["m1=2", "Z=array2d"])))


@pytest.mark.parametrize("name", ["M0", "m0"])
def test_fixed_chunks(name: str) -> None:
    """The length of a split that the cascade makes itself may be fixed, by its rank or its variable."""
    checked = check(parse("input A[M]\noutput Z\nshape M0 = 4, M1 = M / M0\nB[m1, m0] = A[m1*M0 + m0]\n"
                          "L[m1] = B[m1, m0]\nZ = L[m1]"))  # fmt: skip
    for wanted in (2, 8):
        result = map_cascade(checked, ARCH, {"M": 16}, fix=[f"{name}={wanted}"])
        assert all(f"split m: m1, m0 = {wanted}\n" in text for text in texts(result))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fix": ["m1=2", "m1=4"]}, "'m1' is fixed at '2' and at '4'"),
        ({"fix": ["Z=array1d", "Z=array2d"]}, "'Z' is fixed at 'array1d' and at 'array2d'"),
        ({"fix": ["Z=array3d"]}, "'fusemax-cloud' has no unit 'array3d'"),
        ({"fix": ["m1"]}, "`--fix m1` has no `NAME=VALUE`"),
        ({"fix": ["=3"]}, "`--fix =3` has no `NAME=VALUE`"),
        ({"fix": ["m1=0"]}, "'m1=0' fixes no length"),
        ({"fix": ["Y=array1d"]}, "'Y=array1d' fixes nothing"),
        ({"fix": ["q7=5"]}, "no open choice has the name 'q7'"),
        ({"fix": ["k1=2"]}, "no open choice has the name 'k1'"),
        ({"keep": ["A=cache"]}, "'fusemax-cloud' has no memory 'cache'"),
        ({"keep": ["C=buffer"]}, "'matmul' has no tensor 'C'"),
        ({"keep": ["A"]}, "`--keep A` has no `NAME=VALUE`"),
        ({"keep": ["A=dram", "A=buffer"]}, "'A' is to be kept in 'dram' and in 'buffer'"),
        ({"objective": "speed"}, "no objective 'speed'"),
        ({"objective": "latencey"}, "no objective 'latencey'"),
        ({"strategy": "annealing"}, "no strategy 'annealing'"),
        ({"accounting": "half"}, "no accounting 'half'"),
    ],
)
def test_what_cannot_be_asked_for(options: dict[str, object], message: str) -> None:
    """Every option that contradicts itself or names nothing is refused, with what there is."""
    with pytest.raises(FusemaxError) as caught:
        matmul(**options)
    assert caught.value.problems[0].message.startswith(message)
    assert caught.value.problems[0].hint


# ------------------------------------------------------------------------------------------------------------ strategies


def test_ties() -> None:
    """Of two candidates that take the same time the one that moves less is better, then the one that takes less energy."""
    a, b, c = (1.0, 1.0, 1.0 + 1e-13), (5.0, 2.0, 3.0), (8.0, 6.0, 4.0)

    def first(name: str, latency: tuple[float, ...], energy: tuple[float, ...], dram: tuple[float, ...]) -> int:
        found = Costs(np.array(latency), np.array(energy), np.array(dram), buffer_bytes=np.zeros(3), uneven=np.zeros(3))
        return int(np.lexsort(Objective(name).keys(found)[::-1])[0])

    assert first("latency", a, b, c) == 2
    assert first("latency", a, b, (4.0, 4.0, 4.0)) == 1
    assert first("energy", b, a, c) == 1
    assert first("energy", (2.0, 2.0, 2.0), a, c) == 2
    assert first("dram", b, c, a) == 1
    assert first("dram", (2.0, 2.0, 2.0), c, a) == 2
    assert first("edp", (1.0, 2.0, 3.0), (6.0, 3.0, 2.0), c) == 0
    assert first("edp", (1.0, 2.0, 3.0), (np.inf, 3.0, 2.0), c) == 1


@pytest.mark.parametrize("objective", ["latency", "dram"])
def test_annealing(objective: str) -> None:
    """Annealing finds the best of a small space, proves nothing, and the same seed finds the same."""
    best = matmul(objective=objective, top=1).best[0].value
    first, again = (matmul(objective=objective, strategy="anneal", top=3, seed=7, limit=400) for _ in range(2))
    assert first.best[0].value == pytest.approx(best, rel=1e-8, abs=0)
    assert not first.statistics.proven
    assert texts(first) == texts(again)
    assert first.statistics.trees <= 4000


@pytest.mark.parametrize("objective", ["latency", "energy", "edp", "dram"])
def test_several_processes(objective: str) -> None:
    """Two processes find what one finds, and cost as much."""
    one, two = (matmul(objective=objective, top=3, jobs=jobs) for jobs in (1, 2))
    assert texts(one) == texts(two)
    assert [found.value for found in one.best] == [found.value for found in two.best]
    assert one.statistics.proven == two.statistics.proven
    assert (one.statistics.trees, one.statistics.costed) == (two.statistics.trees, two.statistics.costed)


@pytest.mark.parametrize("strategy", ["exhaustive", "anneal"])
@pytest.mark.parametrize("after", [1, 20])
def test_interrupted(strategy: str, after: int) -> None:
    """An interruption keeps the best so far, says so, and proves nothing."""
    seen: list[float] = []

    def interrupt(trees: int, value: float) -> None:
        seen.append(value)
        if len(seen) == after:
            raise KeyboardInterrupt

    found = matmul(strategy=strategy, objective="energy", progress=interrupt)
    assert found.statistics.interrupted
    assert not found.statistics.proven
    assert len(seen) == after
    assert found.best[0].value == min(seen)
    assert "interrupted: this is the best so far" in str(found)


@pytest.mark.parametrize("limit", [1, 7])
def test_limit(limit: int) -> None:
    """A search ends at its limit, at the end of what it costs at once; without the bound reached nothing is proven."""
    found = matmul(objective="energy", limit=limit)
    assert found.statistics.trees <= limit + 2 * 48
    assert found.statistics.trees < matmul(objective="energy").statistics.trees
    assert not found.statistics.proven
    assert "not proven" in str(found)


def test_the_best_are_different() -> None:
    """The best come in order, each with another cost, and are mappings on their own."""
    result = matmul(top=5)
    values = [found.value for found in result.best]
    assert values == sorted(values)
    assert len(set(texts(result))) == len(result.best) == 5
    for found in result.best:
        assert isinstance(found.mapping, Mapping)
        assert costs(evaluate("matmul", ARCH, parse_mapping(str(found.mapping)), MATMUL)) == costs(found.estimate)


def test_a_chunk_that_is_the_whole_rank() -> None:
    """A chunk may be the whole rank: the loop over chunks, which the cascade has, stays though it has one iteration."""
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}
    best = map_cascade("attention-1pass", "fusemax-cloud", shapes, fix=["M0=1024"], top=1).best[0]
    assert "split m: m1, m0 = 1024" in str(best.mapping)
    again = evaluate("attention-1pass", "fusemax-cloud", best.mapping, shapes)
    assert again.latency_s == best.estimate.latency_s


def test_even_tiles() -> None:
    """Tiles are short at the end where that is better, and never if even ones are asked for: those can be simulated."""
    shapes = {"M": 1009, "N": 703, "K": 512}
    uneven, even = (map_cascade("matmul", "fusemax-cloud", shapes, top=1, even=e).best[0] for e in (False, True))
    assert "uneven" in str(uneven.mapping)
    assert "uneven" not in str(even.mapping)
    assert uneven.value <= even.value
    trace = simulate(load_cascade("matmul"), load_arch("fusemax-cloud"), even.mapping, shapes)
    assert trace.makespan >= float(even.estimate.phases[0].cycles)
