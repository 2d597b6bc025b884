"""Building: a bound mapping becomes the program of each of its phases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fusemax.bind.bind import BoundMapping
from fusemax.model.traffic import Traffic, traffic
from fusemax.sim.program.barriers import barrier_dependences, segments_of
from fusemax.sim.program.dependences import operand_dependences, queues_of, register_dependences
from fusemax.sim.program.einsums import alternations_of, einsum_stream
from fusemax.sim.program.phase import Phase, Streams
from fusemax.sim.program.program import Dependence, Program, TaskStream, Until
from fusemax.sim.program.tiles import capacity_dependences, reserved_bytes, tile_uses
from fusemax.sim.program.transfers import (
    direct_dependences,
    direct_transfers,
    drain_dependences,
    fill_dependences,
    storage_transfers,
)


def programs_of(bound: BoundMapping, latencies: bool = True) -> tuple[Program, ...]:
    """The programs of all phases of a bound mapping, in order; without `latencies` no result drains."""
    counts = traffic(bound.nest)
    return tuple(build(bound, counts, number, latencies) for number in range(bound.plan.phases))


def build(bound: BoundMapping, counts: Traffic, number: int, latencies: bool = True) -> Program:
    """The program of one phase. Raises `FusemaxError` for a queue that has no room for a tile."""
    phase = Phase.of(bound, counts, number)
    einsums = {n: einsum_stream(phase, n) for n in phase.numbers}
    streams = Streams(einsums, tuple(storage_transfers(phase, einsums)), tuple(direct_transfers(phase, einsums)))
    segments = segments_of(phase, einsums)
    dependences = (
        *register_dependences(phase, einsums),
        *barrier_dependences(segments),
        *drain_dependences(phase, streams),
        *capacity_dependences(phase, streams),
        *direct_dependences(phase, streams),
        *fill_dependences(phase, streams),
        *operand_dependences(phase, streams),
    )
    return Program(
        clock=phase.clock,
        servers=(*(unit.name for unit in bound.arch.units), bound.arch.outermost.name),
        streams=(*einsums.values(), *(segment.gate for segment in segments), *streams.transfers),
        dependences=dependences,
        latencies=_latencies(phase, einsums, dependences) if latencies else {},
        segments=segments,
        alternations=alternations_of(phase, einsums),
        queues=queues_of(phase, einsums),
        tiles=tile_uses(phase, streams),
        reserved=reserved_bytes(phase),
    )


def _latencies(
    phase: Phase, einsums: Mapping[int, TaskStream], dependences: Iterable[Dependence]
) -> dict[TaskStream, int]:
    """The ticks by which results arrive later outside of their array; a result that is only used inside is there at once."""
    outside: dict[TaskStream, bool] = {}
    for dependence in dependences:
        outside[dependence.source] = outside.get(dependence.source, False) or dependence.until is Until.ARRIVED
    return {stream: phase.drain(number) for number, stream in einsums.items() if outside.get(stream, True)}
