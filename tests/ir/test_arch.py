"""Questions to an architecture."""

import pytest

from fusemax import load_arch
from fusemax.ir.arch import Arch, Memory, Operation, Unit

UNIT = Unit("array", (("rows", 4), ("columns", 8)), (("west", "rows"), ("north", "columns"), ("south", "columns")),
            None, (Operation("mac", 1, 0.0),))  # fmt: skip
FAR, MIDDLE, NEAR = (Memory(name, None, None, 16, 0.0, 0.0) for name in ("far", "middle", "near"))
ARCH = Arch("chain", "", 1e9, 16, (FAR, MIDDLE, NEAR), (UNIT,))


def test_things_by_name() -> None:
    """A unit and a memory are found by name, and a name that is not there is an error of the caller."""
    assert (ARCH.unit("array"), ARCH.memory("middle")) == (UNIT, MIDDLE)
    with pytest.raises(KeyError, match="lanes"):
        ARCH.unit("lanes")


def test_memories_of_a_chain() -> None:
    """The memory behind another, the way between two, and the one nearest to a unit."""
    assert [ARCH.backing(memory) for memory in ARCH.memories] == [None, FAR, MIDDLE]
    assert ARCH.path(FAR, NEAR) == (FAR, MIDDLE, NEAR)
    assert ARCH.path(MIDDLE, MIDDLE) == (MIDDLE,)
    assert ARCH.innermost(UNIT) is ARCH.innermost() is NEAR
    with pytest.raises(ValueError, match="'far' is not further in"):
        ARCH.path(NEAR, FAR)


def test_edges_of_a_unit() -> None:
    """Operands enter by every edge but the south, by which results leave; rates are the lengths of the axes."""
    assert UNIT.entering == {"rows": 4, "columns": 8}
    assert UNIT.leaving == {"columns": 8}
    assert load_arch("fusemax-cloud").unit("array1d").lengths == {"lanes": 256}
