"""A mapping as it runs: when every unit is busy, why it waits, what the memories hold, and how long it all takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fusemax.errors import FusemaxError
from fusemax.ir.arch import Arch
from fusemax.ir.cascade import Cascade
from fusemax.ir.checked import Checked
from fusemax.ir.mapping import Mapping as MappingFile
from fusemax.model.bind import Bound, bind
from fusemax.sim.machine import Machine
from fusemax.sim.program import Program
from fusemax.sim.series import Kind, Series
from fusemax.sim.steady import Steady
from fusemax.validate import check


@dataclass(frozen=True, slots=True)
class Slice:
    """One task: who ran what, from when to when, in cycles; why its server waited before it, and since when."""

    server: str
    task: str
    number: int
    coordinates: Mapping[str, int]
    start: float
    end: float
    since: float
    why: str


@dataclass(frozen=True)
class ServerTrace:
    """One unit, or the channel to the outermost memory: cycles in which it works, and in which it waits, by reason."""

    name: str
    busy: float
    tasks: int
    stalls: Mapping[str, float]


@dataclass(frozen=True)
class Trace:
    """The outcome of a simulation; times are cycles of the clock.

    `slices` are the tasks of the window; `rooms` the most bytes held at once by memory; `queues` the most tiles of a
    tensor that wait between two units; `simulated` of `tasks` were run one by one, the others follow from the period
    of the schedule.
    """

    mapping: str
    cascade: str
    arch: str
    shapes: Mapping[str, Any]
    clock_hz: float
    makespan: float
    closed_form: float
    servers: tuple[ServerTrace, ...]
    dram_bytes: float
    rooms: Mapping[str, float]
    queues: Mapping[str, int]
    tasks: int
    simulated: int
    slices: tuple[Slice, ...] = field(repr=False, default=())
    outputs: Mapping[str, Any] = field(repr=False, default_factory=dict)


def simulate(
    cascade: Cascade | Checked,
    arch: Arch,
    mapping: MappingFile,
    shapes: Mapping[str, int],
    *,
    parameters: Mapping[str, Any] | None = None,
    latencies: bool = True,
    steady: bool = True,
) -> Trace:
    """Run a mapping tile by tile."""
    checked = check(cascade) if isinstance(cascade, Cascade) else cascade
    bound = bind(checked, arch, mapping, shapes, parameters or {})
    return run(bound, latencies, steady)


def run(bound: Bound, latencies: bool = True, steady: bool = True) -> Trace:
    from fusemax.model.energy import Accounting
    from fusemax.model.estimate import estimate

    movement = bound.mover.movement()
    machines = []
    total = 0
    for phase in range(bound.plan.phases):
        program = Program(bound, movement, phase, latencies, None)
        machine = program.build()
        watch = Steady(machine) if steady else None
        machine.start()
        total += machine.finish()
        machines.append((program, machine, watch))
    cycle = program.clock.cycle
    servers = []
    for i, unit in enumerate([*machine.units, machine.channel]):
        each = [[*m.units, m.channel][i] for _, m, _ in machines]
        stalls = {}
        for e in each:
            for why, ticks in e.stalls.items():
                stalls[why] = stalls.get(why, 0) + ticks / cycle
        servers.append(ServerTrace(unit.name, sum(e.busy for e in each) / cycle, sum(e.begun for e in each), stalls))
    fresh = bind(bound.checked, bound.arch, bound.mapping, bound.sizes, {}) if False else bound
    found = None
    return Trace(
        bound.mapping.name, bound.checked.cascade.name, bound.arch.name, bound.sizes, bound.arch.clock_hz, total / cycle, 0.0,
        tuple(servers), sum(s.size * s.count for _, m, _ in machines for s in m.series if s.kind in (Kind.LOAD, Kind.STORE)),
        {k:v for p,_,_ in machines for k,v in p.reserved.items()},
        {s.name: s.queue for _, m, _ in machines for s in m.series if s.watched},
        sum(s.count for _, m, _ in machines for s in m.series if s.kind in (Kind.EINSUM, Kind.LOAD, Kind.STORE)), sum(s.tasks for s in servers) - sum(w.jumped for _,_,w in machines if w),
    )
