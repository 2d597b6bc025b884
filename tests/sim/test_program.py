"""Programs are data: frozen, built once, run any number of times; stalls are reasons with texts of their own."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from fusemax import check, load_cascade, load_mapping
from fusemax.bind.bind import bind
from fusemax.sim.fast_forward.steady import Steady
from fusemax.sim.machine import Machine
from fusemax.sim.program.build import programs_of
from fusemax.sim.program.program import Program, TaskKind
from fusemax.sim.stall import Stall, StallKind
from tests.sim.machines import small

SIZES = {"B": 1, "H": 3, "E": 4, "F": 4, "M": 32, "P": 24}


def programs(name: str) -> tuple[Program, ...]:
    """The programs of a shipped mapping on a small machine."""
    mapping = load_mapping(name)
    return programs_of(bind(check(load_cascade(mapping.cascade)), small(mapping.arch), mapping, SIZES, {}))


def run(program: Program, *, steady: bool) -> tuple[int, list[tuple[int, dict[Stall, int]]]]:
    """The makespan of a run, with the busy ticks and the stalls of each server."""
    machine = Machine(program)
    if steady:
        Steady(machine)
    machine.start()
    return machine.finish(), [(server.busy, server.stalls) for server in machine.servers]


@pytest.mark.parametrize("name", ["unfused", "fusemax-architecture", "fusemax-binding"])
def test_a_program_runs_many_times(name: str) -> None:
    """A run leaves its program as it is: the next one, and one without fast-forward, have the same result."""
    for program in programs(name):
        first = run(program, steady=True)
        assert first == run(program, steady=True) == run(program, steady=False)


def test_a_program_is_frozen() -> None:
    """Neither a program nor a stream of it can be changed."""
    (program,) = programs("fusemax-binding")
    with pytest.raises(FrozenInstanceError):
        program.streams = ()  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        program.streams[0].count = 0  # type: ignore[misc]


def test_the_parts_of_a_program() -> None:
    """Stages have a gate each, a pipeline none; all dependences are between streams of the program."""
    (staged,), (pipelined,) = programs("fusemax-architecture"), programs("fusemax-binding")
    assert [len(staged.segments), len(pipelined.segments)] == [4, 0]
    for program in (staged, pipelined):
        gates = [stream for stream in program.streams if stream.kind is TaskKind.GATE]
        assert gates == [segment.gate for segment in program.segments]
        assert program.tasks == sum(stream.count for stream in program.streams if stream not in gates)
        assert {one for d in program.dependences for one in (d.stream, d.source)} <= set(program.streams)


def test_stalls_have_texts_of_their_own() -> None:
    """No two kinds of stalls of the same tensor and resource read alike."""
    stalls = [Stall(kind, "A", "dram") for kind in StallKind]
    assert len({str(stall) for stall in stalls}) == len(stalls)
    assert repr(Stall(StallKind.CAPACITY, "A")) == "<room for A>"
