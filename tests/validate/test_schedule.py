"""One order of computation: what an iteration ties together is a loop, the rest is not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from fusemax import check, parse
from fusemax.ir.checked import CheckedEinsum, Loop


def shown(nodes: Iterable[Loop | CheckedEinsum]) -> str:
    """A schedule in a line: names of Einsums (`X0` for an initial value), loops in brackets."""
    parts = []
    for node in nodes:
        match node:
            case Loop(variable, body):
                parts.append(f"{variable}[{shown(body)}]")
            case CheckedEinsum():
                parts.append(node.name + "0" * node.initial)
    return " ".join(parts)


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("Y[m] = A[m]\nZ[m] = Y[m]", "Y Z"),
        ("X[0] = 0\nX[i+1] = X[i] + A[i]\nZ = X[I]", "X0 i[X] Z"),
        # what the loop does not need in each step stays outside
        ("B[i] = A[i]^2\nX[0] = 0\nX[i+1] = X[i] + B[i]\nY[i] = X[i+1]\nZ = X[I]", "B X0 i[X] Y Z"),
        # what it needs goes in
        ("X[0] = 0\nX[i+1] = X[i] + A[i]\nY[i] = X[i] * A[i]\nW[0] = 0\nW[i+1] = W[i] + Y[i]", "X0 i[X] Y W0 i[W]"),
        ("X[0] = 1\nY[i] = X[i] * A[i]\nX[i+1] = X[i] + Y[i]\nZ = X[I]", "X0 i[Y X] Z"),
        # sections in any order
        ("X[0] = 0\nfinal:\nZ = X[I]\nY = Z * 2\nloop:\nX[i+1] = X[i] + A[i]", "X0 i[X] Z Y"),
        # a loop in a loop
        (
            "S[0] = 0\nR[i, 0] = 0\nR[i, j+1] = R[i, j] + A[i, j] * S[i]\nS[i+1] = S[i] + R[i, J]\nZ = S[I]",
            "S0 R0 i[j[R] S] Z",
        ),
        (
            "S[0] = 0\nR[i, 0] = S[i]\nR[i, j+1] = R[i, j] + A[i, j]\nS[i+1] = S[i] + R[i, J]\nZ = S[I]",
            "S0 i[R0 j[R] S] Z",
        ),
    ],
)
def test_schedules(text: str, schedule: str) -> None:
    """Loops hold what depends on the step before, and nothing else."""
    assert shown(check(parse(text)).schedule) == schedule


def test_every_einsum_is_computed_once() -> None:
    """A schedule has each Einsum of the cascade exactly once."""
    text = "X[0] = 0\nX[i+1] = X[i] + A[i]\nW[0] = 0\nW[i+1] = W[i] * X[i+1]\nZ = X[I] * W[I]"
    assert sorted(shown(check(parse(text)).schedule).replace("[", " ").replace("]", " ").split()) == [
        "W", "W0", "X", "X0", "Z", "i", "i",
    ]  # fmt: skip
