"""Operations as a unit executes them: an operator that the cascade defines is one operation, or its parts."""

from __future__ import annotations

from fusemax.analysis.counting import Points
from fusemax.analysis.work import Tally, expanded, operations
from fusemax.ir.arch import Unit
from fusemax.ir.checked import Checked, CheckedEinsum


def operations_on(checked: Checked, einsum: CheckedEinsum, unit: Unit) -> Tally:
    """The operations of an Einsum on a unit: an operator of the cascade that the unit lacks is its parts.

    >>> from fusemax import check, load_arch, parse
    >>> checked = check(parse("op f(x) = exp(x) + x\\nZ[m] = f(A[m])"))
    >>> {kind: list(at.values()) for kind, at in operations_on(checked, checked.einsums[0], load_arch("flat-cloud").units[1]).items()}
    {'add': [1], 'exp': [1]}
    """
    counted = operations(checked, einsum)
    own = {op.name for op in checked.cascade.ops if op.name in counted and unit.slots(op.name) is None}
    if not own:
        return counted
    parts = expanded(checked)
    tally: dict[str, dict[Points, int]] = {}
    for kind, at in counted.items():
        for inner, times in (parts[kind] if kind in own else {kind: 1}).items():
            into = tally.setdefault(inner, {})
            for space, n in at.items():
                into[space] = into.get(space, 0) + n * times
    return tally


def operator_of(checked: Checked, einsum: CheckedEinsum, kind: str) -> str | None:
    """The operator of the cascade through which an Einsum needs a kind; None if the kind is in its own text."""
    counted = operations(checked, einsum)
    if kind in counted:
        return None
    return next((name for name, parts in expanded(checked).items() if name in counted and kind in parts), None)
