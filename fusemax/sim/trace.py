"""The trace of a simulation: busy and stalled cycles, with reasons; tiles in memories; and the tasks of a window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fusemax.errors import FusemaxError, did_you_mean, listed
from fusemax.sim.stall import Stall
from fusemax.view import Json, Record, Result, Table

TOLERANCE = 1e-9
"""Numbers of a schedule are right if they differ from the interpreter's by no more, relative to the largest."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One task, in cycles: its server was free from `since` on, waited because of `why`, and ran it from `start` to `end`.

    `series` is its place in the trace's series, and `number` its place in there. `after` is the task for which it waited
    last, by both.
    """

    server: str
    name: str
    series: int
    number: int
    coordinates: Mapping[str, int]
    since: float
    start: float
    end: float
    why: Stall | None
    after: tuple[int, int] | None

    @property
    def waited(self) -> float:
        """Cycles for which its server stood still before it."""
        return self.start - self.since


@dataclass(frozen=True)
class ServerTrace:
    """A unit, or the channel to the outermost memory: cycles at work, and cycles of standing still, by reason."""

    name: str
    busy: float
    tasks: int
    stalls: Mapping[Stall, float]


@dataclass(frozen=True)
class SeriesTrace:
    """All tasks of an Einsum, or of a transfer: how many, and, of a transfer, the bytes that they move."""

    name: str
    server: str
    tasks: int
    bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """A tile that a memory holds in the window, from its first use to its last, in cycles."""

    memory: str
    tensor: str
    bytes: float
    start: float
    end: float


@dataclass(frozen=True)
class Trace(Result):
    """A mapping as it runs. Times are cycles of the clock.

    `makespan` is the time at which all results are there, `closed_form` that of the cost model. `reserved` has the bytes
    set aside for each tensor by memory, `queues` the longest queue of each tensor between two units in words a lane.
    Of `tasks` tasks `simulated` were run one by one; the others were fast-forwarded, with the same result.
    `slices` are the tasks of the window, and `held` the tiles then held; `outputs` arrays, if there were inputs.
    `model` and `seq` say where the shapes are from, if they are from a workload; `error` is the largest difference to the
    interpreter's outputs, relative, if the numbers were checked; `notes` are assumptions.

    >>> from fusemax import load_arch, load_cascade, load_mapping, simulate
    >>> mapping = load_mapping("fusemax-binding")
    >>> shapes = {"B": 64, "H": 12, "E": 64, "F": 64, "M": 1024, "P": 1024}
    >>> trace = simulate(load_cascade(mapping.cascade), load_arch(mapping.arch), mapping, shapes)
    >>> f"{trace.makespan / trace.closed_form:.3f}", f"{trace.utilization['array1d']:.3f}"
    ('1.008', '0.992')
    """

    first_column: ClassVar[str] = "server"
    mapping: str
    cascade: str
    arch: str
    shapes: Mapping[str, int]
    clock_hz: float
    makespan: float
    closed_form: float
    servers: tuple[ServerTrace, ...]
    series: tuple[SeriesTrace, ...]
    reserved: Mapping[str, Mapping[str, float]]
    queues: Mapping[str, float]
    simulated: int
    window: tuple[float, float]
    slices: tuple[Slice, ...] = field(repr=False, default=())
    held: tuple[Held, ...] = field(repr=False, default=())
    outputs: Mapping[str, NDArray[np.float64]] | None = field(repr=False, compare=False, default=None)
    model: str | None = None
    seq: int | None = None
    error: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        """Whether the schedule computes something else than the cascade."""
        return self.error is not None and not self.error <= TOLERANCE

    @property
    def latency_s(self) -> float:
        """The makespan in seconds."""
        return self.makespan / self.clock_hz

    @property
    def tasks(self) -> int:
        """All tasks of all units and of the channel."""
        return sum(server.tasks for server in self.servers)

    @property
    def dram_bytes(self) -> float:
        """Bytes that the channel moves."""
        return sum(series.bytes for series in self.series)

    @property
    def utilization(self) -> Mapping[str, float]:
        """The share of the makespan in which each unit, or the channel, is at work."""
        return {server.name: server.busy / self.makespan for server in self.servers}

    def server(self, name: str) -> ServerTrace:
        """A unit, or the channel, by name. Raises `FusemaxError` for others."""
        found = {server.name: server for server in self.servers}
        if name not in found:
            raise FusemaxError(f"no unit '{name}'", did_you_mean(name, found) or f"there are {listed(found)}")
        return found[name]

    def busy_over_time(self, server: str, bins: int = 50) -> NDArray[np.float64]:
        """The share of each of so many equal parts of the window in which a unit, or the channel, is at work.

        Raises `FusemaxError` for a name that is neither.
        """
        server = self.server(server).name
        begin, end = self.window
        edges = np.linspace(begin, end, bins + 1)
        total = np.zeros(bins)
        until = begin
        for task in self.slices:
            if task.server == server:  # alternating tasks are at work at once
                start, until = max(task.start, until), max(task.end, until)
                total += np.clip(np.minimum(task.end, edges[1:]) - np.maximum(start, edges[:-1]), 0, None)
        return total / np.diff(edges)

    def occupancy(self, memory: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times in cycles at which the bytes in use of a memory change within the window, and the bytes from then on.

        A tile is in use from its first task to its last, or until the next takes its place part by part; tiles without
        any task in the window are not seen. Raises `FusemaxError` for a memory in which nothing is set aside.
        """
        if memory not in self.reserved:
            hint = did_you_mean(memory, self.reserved) or (
                f"tiles are in {listed(self.reserved)}" if self.reserved else "the mapping holds nothing"
            )
            raise FusemaxError(f"no tiles in a memory '{memory}'", hint)
        mine = [tile for tile in self.held if tile.memory == memory]
        times = np.array(sorted({self.window[0], *(t.start for t in mine), *(t.end for t in mine)}))
        total = np.zeros(len(times))
        for tensor, reserved in self.reserved.get(memory, {}).items():
            changes = np.zeros(len(times))
            for tile in mine:
                if tile.tensor == tensor:
                    changes[np.searchsorted(times, tile.start)] += tile.bytes
                    changes[np.searchsorted(times, tile.end)] -= tile.bytes
            total += np.minimum(np.cumsum(changes), reserved)
        return times, total

    def critical_path(self) -> tuple[Slice, ...]:
        """Back from the last task of the window: each began when the one before it in the path had ended, or its result
        had left its array."""
        by_task = {(task.series, task.number): task for task in self.slices}
        before: dict[tuple[int, int], Slice] = {}
        latest: dict[str, Slice] = {}
        for task in self.slices:
            last = latest.get(task.server)
            if last is not None and last.start == task.start:  # they alternate
                last = before.get((last.series, last.number))
            if last is not None:
                before[task.series, task.number] = last
            latest[task.server] = task
        path: list[Slice] = []
        at = max(self.slices, key=lambda task: task.end, default=None)
        while at is not None:
            path.append(at)
            waited = by_task.get(at.after) if at.waited and at.after else None
            at = waited or before.get((at.series, at.number))
        return tuple(reversed(path))

    def tables(self) -> Iterator[Table]:
        """Totals, servers, tiles that are set aside, and queues."""
        from fusemax.sim.tables import trace_tables

        return trace_tables(self)

    def annex(self, width: int | None) -> Iterator[str]:
        """The waterfall of the window."""
        from fusemax.sim.tables import waterfall

        yield waterfall(self, width)

    def records(self) -> list[Record]:
        """A row for each task of the window, in cycles, with the coordinates of its loops."""
        return [
            {
                "server": task.server, "task": task.name, "start": task.start, "end": task.end, "waited": task.waited,
                "why": task.why if task.waited else "", **task.coordinates,
            }
            for task in self.slices
        ]  # fmt: skip

    def to_json(self) -> Json:
        """The trace as JSON data (docs/json.md); the tasks of the window are in its CSV."""
        return {
            "model": self.model,
            "seq": self.seq,
            "mapping": self.mapping,
            "cascade": self.cascade,
            "arch": self.arch,
            "shapes": {rank: int(size) for rank, size in self.shapes.items()},
            "makespan_cycles": self.makespan,
            "latency_s": self.latency_s,
            "closed_form_cycles": self.closed_form,
            "dram_bytes": self.dram_bytes,
            "utilization": dict(self.utilization),
            "servers": [
                {
                    "name": s.name, "busy_cycles": s.busy, "tasks": s.tasks,
                    "stall_cycles": {str(stall): cycles for stall, cycles in s.stalls.items()},
                }
                for s in self.servers
            ],
            "series": [
                {"name": s.name, "server": s.server, "tasks": s.tasks, "bytes": s.bytes}
                for s in self.series
            ],
            "reserved_bytes": {memory: dict(tiles) for memory, tiles in self.reserved.items()},
            "queues_words": dict(self.queues),
            "tasks": self.tasks,
            "simulated": self.simulated,
            "error": self.error,
            "notes": list(self.notes),
        }  # fmt: skip
