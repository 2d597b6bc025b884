"""Operations against a loop nest that applies every operator point by point and counts as it goes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import sympy

from fusemax import analyze, check, load_cascade, parse
from fusemax.analysis.work import expanded, operations
from fusemax.ir.checked import Checked
from fusemax.ir.expr import Name
from fusemax.resources import names
from fusemax.validate import solve_shapes
from tests.loop_nest import counted

SIZES = {"B": 2, "D": 3, "E": 2, "F": 3, "G": 2, "H": 2, "I": 4, "J": 1, "K": 3, "LKV": 2}
SIZES |= {"M": 4, "N": 3, "P": 3, "S": 2, "T": 3, "V": 5, "W": 2, "M0": 2}


def aliased(checked: Checked) -> set[str]:
    """Ranks whose variable indexes another rank, and so has its size."""
    return {e.left for e in checked.equations if isinstance(e.right, Name) and not e.default}


def assert_equal(checked: Checked, given: Mapping[str, int]) -> None:
    """Symbols and numbers agree with the loop nest for every Einsum."""
    sizes = solve_shapes(checked, given)
    analysis = analyze(checked, given)
    for einsum, facts in zip(checked.einsums, analysis.einsums, strict=True):
        expected = counted(einsum, sizes)
        numbers = {kind: number for kind, number in (facts.work.numbers(sizes) or {}).items() if number}
        assert numbers == expected, facts.text
        assert numbers == valued(facts.work.symbolic(), sizes), facts.text


def valued(symbols: Mapping[str, sympy.Expr], sizes: Mapping[str, int]) -> dict[str, int]:
    """Symbolic counts with sizes put in, without those that are zero."""
    values = {kind: at(expr, sizes) for kind, expr in symbols.items()}
    return {kind: value for kind, value in values.items() if value}


def at(expr: sympy.Expr, sizes: Mapping[str, int]) -> int:
    """An expression with sizes put in, by SymPy."""
    return int(expr.subs({s: sizes[s.name] for s in expr.free_symbols}).doit())


@pytest.mark.parametrize("name", names("cascades", ".cascade"))
def test_shipped_cascades_count_as_a_loop_nest_does(name: str) -> None:
    """Symbols and numbers of every shipped cascade equal what a loop nest counts."""
    checked = check(load_cascade(name))
    known = {*checked.ranks, *(default.rank for default in checked.cascade.shapes)} - {"M1"} - aliased(checked)
    assert_equal(checked, {rank: size for rank, size in SIZES.items() if rank in known})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Z[m] = A[k, m] * B[k]", {"mac": 12}),
        ("Z[m] = A[k, m] * B[k] * C[m]", {"mac": 12, "mul": 12}),
        ("Z[m] = A[k, m] * B[k] + C[k, m] * D[k]", {"mac": 12, "mul": 12, "add": 12}),
        ("Z[m] = A[k, m] * B[k] - C[k, m]", {"mac": 12, "sub": 12}),
        ("Z[m] = A[k, m] / B[k]", {"div": 12, "add": 12}),
        ("Z[m] = A[k, m]^2", {"mac": 12}),
        ("Z[m] = A[k, m]^3", {"pow": 12, "add": 12}),
        ("Z[m] = -(A[k, m] * B[k])", {"mul": 12, "neg": 12, "add": 12}),
        ("Z[m] = A[k, m]", {"add": 12}),
        ("Z[m] = A[m]", {}),
        ("Z[m] = -1 * A[m]", {"mul": 4}),
        ("Z[m, k] = A[m] * B[k]", {"mul": 12}),
        ("Z = A[k] * B[k]", {"mac": 3}),
        ("Z[m] = A[k, m] * B[k] :: reduce[k] max", {"mul": 12, "max": 12}),
        ("Z[m] = A[k, m, n] * B[n] :: reduce[n] + reduce[k] max", {"mac": 36, "max": 12}),
        ("Z[m] = A[k, m, n] * B[n] :: reduce[n] max reduce[k] +", {"mul": 36, "max": 36, "add": 12}),
        ("Z[m] = A[k, m, n] :: reduce[k, n] *", {"mul": 36}),
        ("Z = A[k, m, n] :: reduce[k] min reduce[m] max reduce[n] +", {"min": 36, "max": 12, "add": 3}),
        ("Z[m] = A[k, m] > 0 :: reduce[k] or", {"cmp": 12, "or": 12}),
        ("Z[m] = max(A[m], B[m], C[m], 0)", {"max": 12}),
        ("Z[m] = where(A[m] > B[m], A[m], B[m])", {"cmp": 4, "select": 4}),
        ("param s = 1 / 3\nZ[m] = A[m] * s", {"mul": 4}),
        ("input X[], A[M]\nZ[m] = exp(X) * A[m]", {"exp": 1, "mul": 4}),
        ("input X[], A[M]\nZ[m] = sqrt(X * X + 1) * A[m]", {"mul": 5, "add": 1, "sqrt": 1}),
        ("Z[m] = A[m] * exp(A[0])", {"exp": 1, "mul": 4}),
        ("Z[m] = m + 1", {"add": 4}),
        ("op f(x) = x * x + 1\nZ[m] = f(A[m]) * f(B[m])", {"f": 8, "mul": 4}),
        ("op f(x) = x * x + 1\ninput X[], A[M]\nZ[m] = f(X) * A[m]", {"f": 1, "mul": 4}),
        ("Z[m: m < 2] = exp(A[m])", {"exp": 2}),
        ("Z[m: m < 9] = exp(A[m])", {"exp": 4}),
        ("Z[m: m == 2] = exp(A[m])", {"exp": 1}),
        ("Z[m: m == 9] = exp(A[m])", {}),
        ("Z[m: m != 2] = exp(A[m])", {"exp": 3}),
        ("Z[m: m != 2 and m != 2 and m != 3] = exp(A[m])", {"exp": 2}),
        ("Z[m: m <= k, k] = exp(A[m, k])", {"exp": 6}),
        ("Z[m: m != k, k] = exp(A[m, k])", {"exp": 9}),
        ("Z[m: m == k, k] = exp(A[m, k])", {"exp": 3}),
        ("Z[m: 2*m == k, k] = exp(A[m, k])", {"exp": 2}),
        ("Z[m: 2*m != k, k] = exp(A[m, k])", {"exp": 10}),
        ("Z[m: 2*m <= 3*k, k] = exp(A[m, k])", {"exp": 7}),
        ("Z[m: m < 2, k: k < 2] = exp(A[m, k])", {"exp": 4}),
        ("Z[m: m <= k, k: k <= n, n] = exp(A[m, k, n])", {"exp": 10}),
        ("Z[m: m + k <= n, k, n] = exp(A[m, k, n])", {"exp": 10}),
        ("Z[m: k - 1 < m <= k + 1, k] = exp(A[m, k])", {"exp": 6}),
        ("Z[m: m < K, k] = exp(A[m, k])", {"exp": 9}),
        ("Z[m] = A[m, k: k <= m] * B[k]", {"mac": 9}),
        ("Z[m] = A[m, k: k <= m, n] :: reduce[n] + reduce[k] max", {"add": 27, "max": 9}),
    ],
)
def test_operations_of_one_einsum(text: str, expected: dict[str, int]) -> None:
    """Counts worked out by hand, for M = 4, K = 3, N = 3; the loop nest and the symbols agree with them."""
    checked = check(parse(text), complete=False)
    sizes = {rank: SIZES[rank] for rank in checked.ranks}
    assert counted(checked.einsums[0], sizes) == expected
    assert_equal(checked, sizes)


def test_totals_of_attention() -> None:
    """The totals by hand, for each batch and head: naive, with the division deferred, and in one pass."""
    e, f, m, p, m1 = sympy.symbols("E F M P M1", integer=True, positive=True)
    b, h = sympy.symbols("B H", integer=True, positive=True)
    n = m * p

    def per_head(name: str) -> dict[str, sympy.Expr]:
        work = analyze(load_cascade(name)).work.symbolic()
        return {kind: sympy.expand(expr / (b * h)) for kind, expr in work.items()}

    naive = {"mac": e * n + f * n, "max": n, "sub": n, "exp": n, "add": n, "div": n}
    assert per_head("attention-3pass") == {kind: sympy.expand(expr) for kind, expr in naive.items()}
    assert per_head("attention-3pass-deferred") == {**per_head("attention-3pass"), "div": f * p}
    more = {"max": 1, "sub": 1, "exp": 1, "mul": f + 1, "add": f + 1}
    deferred = per_head("attention-3pass-deferred")
    expected = {kind: deferred.get(kind, 0) + m1 * p * more.get(kind, 0) for kind in {*deferred, *more}}
    assert per_head("attention-1pass") == {kind: sympy.expand(expr) for kind, expr in expected.items()}
    added = sum(per_head("attention-1pass").values()) - sum(deferred.values())
    assert sympy.expand(added - m1 * p * (2 * f + 5)) == 0


def test_operators_of_the_file_are_expanded() -> None:
    """An operator of the file is as many built-in operations as its body, nested ones too; constants count nothing."""
    text = "op g(x) = max(x, 0, 1) * sqrt(2)\nop h(x, y) = g(x) + g(y) * g(x)\nop k(x) = x\nZ[m] = h(A[m], k(A[m]))"
    checked = check(parse(text), complete=False)
    assert expanded(checked) == {
        "g": {"mul": 1, "max": 2},
        "h": {"add": 1, "mul": 4, "max": 6},
        "k": {},
    }
    assert {kind: sum(at.values()) for kind, at in operations(checked, checked.einsums[0]).items()} == {"h": 1, "k": 1}
