"""The recorder of a run: totals of all phases, and the tasks and tiles of a window of cycles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from fusemax.bind.bind import BoundMapping
from fusemax.errors import FusemaxError
from fusemax.sim.machine import Machine, Server
from fusemax.sim.program.program import Program, TaskKind, TaskStream
from fusemax.sim.stall import Stall
from fusemax.sim.stream import StreamState
from fusemax.sim.trace import Held, SeriesTrace, ServerTrace, Slice, Trace
from fusemax.sim.values import ValueTracker

FOREVER = 2.0**80
"""More cycles than any run takes."""

Tile = tuple[str, str, int, int]
"""A memory, a tensor, a phase, and the number of the tile."""


@dataclass(slots=True, eq=False)
class Recorder:
    """Records the tasks of all phases from cycle `begin` to `end`, at most `most`; `observer` takes them if there is one.

    Ticks of a phase begin at 0, those of the run at `offset`, with `cycle` ticks a cycle; `skipped` tasks were
    fast-forwarded. `last` tells of each tile and stream whether its last task on the tile was recorded.
    """

    bound: BoundMapping
    begin: float
    end: float
    observer: Callable[[Slice], None] | None
    values: ValueTracker | None
    most: int
    cycle: int = 1
    offset: int = 0
    skipped: int = 0
    slices: list[Slice] = field(default_factory=list)
    machine: Machine | None = None
    places: dict[TaskStream, int] = field(default_factory=dict)
    machines: list[Machine] = field(default_factory=list)
    held: dict[Tile, Held] = field(default_factory=dict)
    last: dict[tuple[Tile, TaskStream], bool] = field(default_factory=dict)

    def phase(self, machine: Machine) -> None:
        """Begin a phase."""
        self.machine, self.cycle = machine, machine.program.clock.cycle
        before = sum(len(done.program.work) for done in self.machines)
        self.places = {stream: place for place, stream in enumerate(machine.program.work, before)}

    def ticks(self, cycles: float) -> int:
        """A time of the run as ticks of the phase."""
        return round(min(cycles, FOREVER) * self.cycle) - self.offset

    def record(self, state: StreamState, number: int, since: int, start: int, end: int) -> None:
        """Record a task, if it lies in the window."""
        stream = state.stream
        if self.values is not None:
            self.values.begin(stream, number, start, end)
        first, last = (start + self.offset) / self.cycle, (end + self.offset) / self.cycle
        if first >= self.end and self.values is None and self.machine is not None:
            for server in self.machine.servers:
                server.record = None  # the window is over
        if last < self.begin or first >= self.end:
            return
        waited = start > since
        found = Slice(
            state.server.name if state.server else "", stream.name, self.places[stream], number,
            stream.loops.coordinates(number), (since + self.offset) / self.cycle, first, last,
            state.reason() if waited else None, self.after(state, number) if waited else None,
        )  # fmt: skip
        if self.observer is not None:
            self.observer(found)
            return
        self.hold(stream, number, first, last)
        self.slices.append(found)
        if len(self.slices) > self.most:
            raise FusemaxError(
                f"the window has more than {self.most:,} tasks", "look at fewer cycles: give a smaller window"
            )

    def after(self, state: StreamState, number: int) -> tuple[int, int] | None:
        """The task for which another waited last; of a gate, the one that opened it."""
        binding = state.binding
        if binding is None:
            return None
        source = binding.state
        if source.stream.kind is not TaskKind.GATE:
            return self.places[source.stream], binding.index(number)
        return None if source.opened is None else (self.places[source.opened[0].stream], source.opened[1])

    def hold(self, stream: TaskStream, number: int, start: float, end: float) -> None:
        """Record which tiles a task uses; one that was there before the window is held from its begin on."""
        for use in self.machine.program.tiles.get(stream, ()) if self.machine else ():
            tile = use.memory, use.tensor, len(self.machines), use.tile(number)
            before = self.held.get(tile)
            if before is not None:
                span = min(start, before.start), max(end, before.end)
            else:
                new = not self.begin or (use.first and use.begins(number))
                span = start if new else self.begin, end
            self.held[tile] = Held(use.memory, use.tensor, use.bytes, *span)
            self.last[tile, stream] = use.begins(number + 1) or number + 1 == stream.count

    def holding(self) -> tuple[Held, ...]:
        """The tiles of the window; one that is used after the window too is held up to its end."""
        later = {tile for (tile, _), ended in self.last.items() if not ended}
        return tuple(replace(h, end=max(h.end, self.end)) if tile in later else h for tile, h in self.held.items())

    def done(self, machine: Machine, makespan: int, skipped: int) -> None:
        """End a phase."""
        if self.values is not None:
            self.values.settle(makespan + 1)
        self.machines.append(machine)
        self.offset += makespan
        self.skipped += skipped

    def trace(self, closed_form: float) -> Trace:
        """The trace of all phases; `closed_form` are the cycles of the cost model."""
        bound = self.bound
        servers = tuple(self.server(i) for i in range(len(self.machines[0].servers)))
        return Trace(
            mapping=bound.mapping.name,
            cascade=bound.checked.cascade.name,
            arch=bound.arch.name,
            shapes={rank: int(size) for rank, size in bound.sizes.items()},
            clock_hz=bound.arch.clock_hz,
            makespan=self.offset / self.cycle,
            closed_form=closed_form,
            servers=servers,
            series=tuple(_totals(state) for machine in self.machines for state in machine.work),
            reserved=self.reserved(),
            queues=self.queues(),
            simulated=sum(server.tasks for server in servers) - self.skipped,
            window=(self.begin, min(self.end, self.offset / self.cycle)),
            slices=tuple(sorted(self.slices, key=lambda task: (task.start, task.server, task.end))),
            held=self.holding(),
            outputs=None if self.values is None else self.values.outputs(),
        )

    def server(self, i: int) -> ServerTrace:
        """One unit, or the channel, over all phases."""
        each: list[Server] = [machine.servers[i] for machine in self.machines]
        stalls: dict[Stall, float] = {}
        for server in each:
            for stall, ticks in server.stalls.items():
                stalls[stall] = stalls.get(stall, 0.0) + ticks / self.cycle
        busy = sum(server.busy for server in each) / self.cycle
        return ServerTrace(each[0].name, busy, sum(server.begun for server in each), stalls)

    def queues(self) -> dict[str, float]:
        """The longest queue of each tensor between units, in words a lane."""
        words = {queue.maker: queue.words for machine in self.machines for queue in machine.program.queues}
        states = (state for machine in self.machines for state in machine.states if state.stream in words)
        return {state.stream.name: state.queue * words[state.stream] for state in states}

    def reserved(self) -> dict[str, dict[str, float]]:
        """The most bytes that any phase sets aside for each tensor, by memory."""
        found: dict[str, dict[str, float]] = {}
        programs: list[Program] = [machine.program for machine in self.machines]
        for program in programs:
            for (memory, tensor), size in program.reserved.items():
                tiles = found.setdefault(memory, {})
                tiles[tensor] = max(size, tiles.get(tensor, 0.0))
        return found


def _totals(state: StreamState) -> SeriesTrace:
    return SeriesTrace(state.stream.name, state.server.name if state.server else "", state.next, state.stream.bytes)
