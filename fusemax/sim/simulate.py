"""Running a mapping: every phase on a machine of its own, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import ArrayLike

from fusemax.errors import FusemaxError
from fusemax.ir.arch import Arch
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.model.bind import Bound, bind
from fusemax.model.energy import Accounting
from fusemax.model.estimate import Estimate, estimate
from fusemax.sim.functional import Numbers
from fusemax.sim.machine import Machine, Server
from fusemax.sim.program import Program
from fusemax.sim.series import Kind, Series
from fusemax.sim.steady import Steady
from fusemax.sim.trace import Held, SeriesTrace, ServerTrace, Slice, Trace
from fusemax.validate import check

FIRST_CYCLES = 4000.0
"""The window, if none is asked for: the first so many cycles."""


def simulate(
    cascade: Cascade | Checked,
    arch: Arch,
    mapping: MappingFile,
    shapes: Mapping[str, int],
    *,
    parameters: Mapping[str, Any] | None = None,
    window: tuple[float, float] | None = None,
    inputs: Mapping[str, ArrayLike] | None = None,
    latencies: bool = True,
    steady: bool = True,
    observer: Callable[[Slice], None] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Trace:
    """Run a mapping of a cascade on an architecture, tile by tile.

    `shapes` are elements by rank. The tasks of `window` (cycles, from and to; the first 4000 if not given) are kept, or
    handed to `observer`. With `inputs`, by name, every task computes its numbers, and the trace has the outputs.
    Without `latencies` a reduction leaves its array at once. Without `steady`, and with inputs, every task is run one by
    one; else what repeats is jumped over, with the same result. `progress` is told now and then which share of the tasks
    is done. Raises `FusemaxError` as `evaluate` does, and for a
    schedule in which tasks wait for each other for ever.
    Source: FuseMax (MICRO 2024), sections V and VI, for the hardware that is modelled.
    """
    checked = check(cascade) if isinstance(cascade, Cascade) else cascade
    bound = bind(checked, arch, mapping, shapes, parameters or {})
    return run(bound, window, inputs, latencies, steady and inputs is None, observer, progress)


def run(
    bound: Bound,
    window: tuple[float, float] | None = None,
    inputs: Mapping[str, ArrayLike] | None = None,
    latencies: bool = True,
    steady: bool = True,
    observer: Callable[[Slice], None] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Trace:
    """Run a bound mapping."""
    begin, end = window or (0.0, FIRST_CYCLES)
    if bound.mover.longest:
        message = f"'{bound.mapping.name}' has uneven tiles, which the simulator does not run"
        raise FusemaxError(message, "give sizes that divide, and leave `uneven` out")
    if not 0 <= begin < end:
        raise FusemaxError(f"a window from {begin:g} to {end:g}", "give two cycles, the smaller first: 0:4000")
    closed = estimate(bound, Accounting.FULL)
    movement = bound.mover.movement()
    watch = _Watch(bound, begin, end, observer, None if inputs is None else Numbers(bound, inputs))
    for phase in range(bound.plan.phases):
        program = Program(bound, movement, phase, latencies, watch.record)
        watch.phase(program)
        machine = program.build()
        steadiness = Steady(machine, watch.ticks(begin), watch.ticks(end)) if steady else None
        machine.start()
        look = None if progress is None else _share_done(machine, phase, bound.plan.phases, progress)
        watch.done(program, machine, machine.finish(look), steadiness.jumped if steadiness else 0)
    return watch.trace(closed)


def task_count(bound: Bound) -> int:
    """The tasks of a run, of all units and of the channel."""
    movement = bound.mover.movement()
    machines = (Program(bound, movement, phase, True, None).build() for phase in range(bound.plan.phases))
    return sum(series.count for machine in machines for series in machine.series if series.kind is not Kind.GATE)


def _share_done(machine: Machine, phase: int, phases: int, progress: Callable[[float], None]) -> Callable[[], None]:
    """Tells which share of the tasks is done, as if all phases were alike."""
    total = sum(series.count for series in machine.series)
    return lambda: progress((phase + sum(series.next for series in machine.series) / total) / phases)


@dataclass(slots=True, eq=False)
class _Watch:
    """Collects what all phases do."""

    bound: Bound
    begin: float
    end: float
    observer: Callable[[Slice], None] | None
    numbers: Numbers | None
    cycle: int = 1
    offset: int = 0
    skipped: int = 0
    slices: list[Slice] = field(default_factory=list)
    program: Program | None = None
    programs: list[tuple[Program, Machine]] = field(default_factory=list)
    held: dict[tuple[str, str, int, int], Held] = field(default_factory=dict)
    uses: dict[int, list[tuple[str, str, float, Callable[[int], int]]]] = field(default_factory=dict)

    def phase(self, program: Program) -> None:
        """Begin a phase."""
        self.program, self.cycle, self.uses = program, program.clock.cycle, {}

    def ticks(self, cycles: float) -> int:
        """A time of the run as ticks of the phase."""
        return round(cycles * self.cycle) - self.offset

    def record(self, series: Series, number: int, since: int, start: int, end: int) -> None:
        """Take down a task, if it lies in the window."""
        if self.numbers is not None:
            self.numbers.begin(series, number, start, end)
        first, last = (start + self.offset) / self.cycle, (end + self.offset) / self.cycle
        if first >= self.end and self.numbers is None and self.program is not None:
            for watched in self.program.machine.servers:
                watched.record = None  # nobody looks any more
        if last < self.begin or first >= self.end:
            return
        binding = series.binding
        waited = start > since
        after = (binding.series.name, binding.index(number)) if waited and binding is not None else None
        why = series.reason() if waited else ""
        at = {loop.variable: series.nest.digit(i).of(number) for i, loop in enumerate(series.nest.loops)}
        server = series.server.name if series.server else ""
        found = Slice(server, series.name, number, at, (since + self.offset) / self.cycle, first, last, why, after)
        self.hold(series, number, first, last)
        if self.observer is not None:
            self.observer(found)
        else:
            self.slices.append(found)

    def hold(self, series: Series, number: int, start: float, end: float) -> None:
        """Take down which tiles a task uses."""
        if id(series) not in self.uses:
            self.uses[id(series)] = list(self.program.tiles.tiles_of(series)) if self.program else []
        for memory, tensor, size, tile in self.uses[id(series)]:
            key = (memory, tensor, len(self.programs), tile(number))
            before = self.held.get(key)
            self.held[key] = Held(
                memory,
                tensor,
                size,
                min(start, before.start) if before else start,
                max(end, before.end) if before else end,
            )

    def done(self, program: Program, machine: Machine, makespan: int, skipped: int) -> None:
        """End a phase."""
        if self.numbers is not None:
            self.numbers.settle(makespan + 1)
        self.programs.append((program, machine))
        self.offset += makespan
        self.skipped += skipped

    def trace(self, closed: Estimate) -> Trace:
        """Everything together."""
        servers = tuple(self.server(i) for i in range(len(self.programs[0][1].servers)))
        bound = self.bound
        return Trace(
            mapping=bound.mapping.name,
            cascade=bound.checked.cascade.name,
            arch=bound.arch.name,
            shapes={rank: int(size) for rank, size in bound.sizes.items()},
            clock_hz=bound.arch.clock_hz,
            makespan=self.offset / self.cycle,
            closed_form=float(closed.cycles),
            servers=servers,
            series=tuple(self.series(s) for _, m in self.programs for s in m.series if s.kind is not Kind.GATE),
            reserved=self.reserved(),
            queues={
                s.name: s.queue * p.tiles.words_per_lane(s) for p, m in self.programs for s in m.series if s.watched
            },
            simulated=sum(server.tasks for server in servers) - self.skipped,
            window=(self.begin, min(self.end, self.offset / self.cycle)),
            slices=tuple(sorted(self.slices, key=lambda task: (task.start, task.server, task.end))),
            held=tuple(self.held.values()),
            outputs=None if self.numbers is None else self.numbers.outputs(),
        )

    def server(self, i: int) -> ServerTrace:
        """One unit, or the channel, over all phases."""
        each: list[Server] = [machine.servers[i] for _, machine in self.programs]
        stalls: dict[str, float] = {}
        for server in each:
            for why, ticks in server.stalls.items():
                stalls[why] = stalls.get(why, 0.0) + ticks / self.cycle
        busy = sum(server.busy for server in each) / self.cycle
        return ServerTrace(each[0].name, busy, sum(server.begun for server in each), stalls)

    def series(self, series: Series) -> SeriesTrace:
        """All tasks of one series."""
        return SeriesTrace(series.name, series.server.name if series.server else "", series.next, series.total)

    def reserved(self) -> dict[str, dict[str, float]]:
        """The most that any phase sets aside for each tensor."""
        found: dict[str, dict[str, float]] = {}
        for program, _ in self.programs:
            for (memory, tensor), size in program.tiles.reserved.items():
                tiles = found.setdefault(memory, {})
                tiles[tensor] = max(size, tiles.get(tensor, 0.0))
        return found
