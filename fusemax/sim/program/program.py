"""The program of one phase, frozen: task streams, their dependences, segments between barriers, queues and tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import gcd, lcm

from fusemax.bind.plan import LoopRef
from fusemax.sim.stall import Stall
from fusemax.sim.task_index import TaskLoops


class TaskKind(Enum):
    """The work of a stream's tasks."""

    EINSUM = "einsum"
    LOAD = "load"
    STORE = "store"
    GATE = "gate"


class Until(Enum):
    """The event of another task for which a task waits."""

    BEGUN = "begun"
    """Its begin: the server of both ends one task before it begins the next."""
    ENDED = "ended"
    """Its end: its operands are free, its result may still drain."""
    ARRIVED = "arrived"
    """The arrival of its result."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Integer ticks in which a cycle, a byte of the outermost memory, and a word over an edge are exact.

    >>> Clock.of(940e6, 400 * 2**30), Clock.of(1e9, 1e9, (4, 6))
    (Clock(cycle=67108864, byte=146875), Clock(cycle=12, byte=12))
    """

    cycle: int
    byte: int

    @staticmethod
    def of(clock_hz: float, bandwidth_bytes_s: float, rates: Iterable[int] = ()) -> Clock:
        """The ticks for a clock, a bandwidth, and the words that edges let pass in a cycle."""
        ratio = Fraction(bandwidth_bytes_s) / Fraction(clock_hz)
        words = lcm(*rates)
        times = words // gcd(words, ratio.numerator)
        return Clock(ratio.numerator * times, ratio.denominator * times)


@dataclass(frozen=True, slots=True, eq=False)
class TaskStream:
    """Tasks 0 to `count - 1` of one kind, which a server begins in this order; two streams are equal if they are the same.

    `tensor` is the tensor that the tasks make or move, `server` the number of their server (None for gates), `loops` the
    loops of which each iteration is a task, `cost` the ticks of a task, and `position` its place in program order.
    `placement` is the number of an Einsum's placement, `bytes` those of all transfers together. A server begins the tasks
    of `strict` streams in program order. `periodic`: all iterations cost the same; `special` are the loops whose first
    iteration differs from the others.
    """

    name: str
    kind: TaskKind
    tensor: str
    server: int | None
    loops: TaskLoops
    count: int
    cost: Callable[[int], int] | int
    position: Callable[[int], int]
    placement: int | None = None
    bytes: float = 0.0
    strict: bool = False
    periodic: bool = True
    special: tuple[LoopRef, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Dependence:
    """Task n of `stream` waits for an event of task `index(n)` of `source`; it waits for nothing if that is `NONE`.

    `stall` is the reason for which the server of the stream stands still meanwhile; None: the one of the gate that is the
    source.
    """

    stream: TaskStream
    source: TaskStream
    index: Callable[[int], int]
    until: Until
    stall: Stall | None


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A stream in a segment: the opening in which a task of it runs, its tasks in each, and the ticks of its drain."""

    stream: TaskStream
    opening: Callable[[int], int]
    per_opening: int
    drain: int
    stall: Stall


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A part of the program between two barriers: a stage, or a statement of a plain loop.

    It runs once in each opening, a task of its `gate`: the barrier before it is the begin of the gate's task, the one
    after it the end of all tasks of its members, and of the drains for which it waits.
    """

    gate: TaskStream
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Queue:
    """Tiles of a stream's result, of so many words a lane, that wait for readers on other units."""

    maker: TaskStream
    readers: tuple[TaskStream, ...]
    words: float


@dataclass(frozen=True, slots=True, eq=False)
class TileUse:
    """The tile of a tensor in a memory that each task of a stream uses; `first`: no load brings it before."""

    memory: str
    tensor: str
    bytes: float
    tile: Callable[[int], int]
    first: bool

    def begins(self, number: int) -> bool:
        """Whether a task is the first of its stream on its tile."""
        return number == 0 or self.tile(number - 1) != self.tile(number)


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """All that a phase runs; a `Machine` runs it.

    `servers` are the names of the units and of the channel to the outermost memory, in this order. `dependences` of one
    stream are in the order in which it looks at them. `latencies` are the ticks by which results arrive later outside of
    their array. Streams of an alternation share their unit cycle by cycle. `tiles` has the tiles that the tasks of each
    stream use, `reserved` the bytes that a memory sets aside for a tensor.
    """

    clock: Clock
    servers: tuple[str, ...]
    streams: tuple[TaskStream, ...]
    dependences: tuple[Dependence, ...]
    latencies: Mapping[TaskStream, int]
    segments: tuple[Segment, ...]
    alternations: tuple[tuple[TaskStream, ...], ...]
    queues: tuple[Queue, ...]
    tiles: Mapping[TaskStream, tuple[TileUse, ...]]
    reserved: Mapping[tuple[str, str], float]

    @property
    def work(self) -> tuple[TaskStream, ...]:
        """The streams that run on servers: all but gates."""
        return tuple(stream for stream in self.streams if stream.kind is not TaskKind.GATE)

    @property
    def tasks(self) -> int:
        """The tasks of all servers."""
        return sum(stream.count for stream in self.work)
