"""The reasons for which a server stands still."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import assert_never


class StallKind(Enum):
    """The resource or event that the next task of a server waits for."""

    OPERAND = "operand"
    """A tensor that another task makes."""
    TRANSFER = "transfer"
    """A tensor on its way from a memory."""
    CAPACITY = "capacity"
    """A tile of a memory that is still in use."""
    REGISTERS = "registers"
    """Registers of the array for one more tile."""
    QUEUE = "queue"
    """A place in the queue of another unit."""
    STORE = "store"
    """A result on its way to the outermost memory."""
    PREFETCH = "prefetch"
    """The use of tiles that are already loaded."""
    BARRIER = "barrier"
    """The end of a task before a barrier."""
    DRAIN = "drain"
    """A barrier that the drain of a reduction delays."""
    GATE = "gate"
    """The opening of its segment, right after another without work."""
    START = "start"
    """The first segment of the program."""
    IDLE = "idle"
    """No event: a task that stands before it in the program is late."""


@dataclass(frozen=True, slots=True)
class Stall:
    """A reason to stand still: its kind, the tensor or Einsum concerned, and the other memory or unit.

    `str` gives it as tables and JSON have it, a different text for each reason.

    >>> stalls = {Stall(StallKind.TRANSFER, "BK", "dram"): 358.6, Stall(StallKind.OPERAND, "RM"): 222288.0}
    >>> stalls
    {<BK from dram>: 358.6, <RM>: 222288.0}
    >>> {str(stall): cycles for stall, cycles in stalls.items() if stall.kind is StallKind.OPERAND}
    {'RM': 222288.0}
    """

    kind: StallKind
    tensor: str = ""
    other: str = ""

    def __str__(self) -> str:
        match self.kind:
            case StallKind.OPERAND:
                return self.tensor
            case StallKind.TRANSFER:
                return f"{self.tensor} from {self.other}"
            case StallKind.CAPACITY:
                return f"room for {self.tensor}"
            case StallKind.REGISTERS:
                return "registers"
            case StallKind.QUEUE:
                return f"room in the queue of {self.other}"
            case StallKind.STORE:
                return f"{self.tensor} to leave"
            case StallKind.PREFETCH:
                return "its use"
            case StallKind.BARRIER:
                return f"the end of {self.tensor}"
            case StallKind.DRAIN:
                return f"{self.tensor} to drain"
            case StallKind.GATE:
                return "its turn"
            case StallKind.START:
                return "the start"
            case StallKind.IDLE:
                return "nothing to do"
        assert_never(self.kind)

    def __repr__(self) -> str:
        return f"<{self}>"
