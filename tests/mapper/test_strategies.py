"""How strategies go on and end: several processes, parts of a space, interruptions, and where nothing fits."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from fusemax import FusemaxError, check, load_arch, load_cascade
from fusemax.mapper import map_cascade
from fusemax.mapper.cost.batch import best_of
from fusemax.mapper.pareto import pareto
from fusemax.mapper.search.search import Entry, Search, TrialResult
from fusemax.mapper.space.generated import Generated, State
from fusemax.study.encoder_layer import end_to_end
from tests.processes import FUSEMAX, started, terminal, wait_until
from tests.sim.machines import small

pytestmark = pytest.mark.slow

MATMUL = {"M": 8, "N": 4, "K": 6}


@pytest.mark.parametrize(("objective", "limit"), [("dram", 10**6), ("energy", 10**6), ("energy", 5)])
def test_several_processes_of_a_part(objective: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tile sizes are left out, or trees by the limit, two processes prove as little as one, and cost as much."""
    monkeypatch.setattr("fusemax.mapper.space.generated.MOST_GRID", 3)
    arch, shapes = small(lengths=4, buffer=300), {"M": 64, "N": 48, "K": 6}
    one, two = (
        map_cascade("matmul", arch, shapes, objective=objective, jobs=jobs, limit=limit, top=3) for jobs in (1, 2)
    )
    assert not one.statistics.proven
    assert replace(one.statistics, seconds=0.0) == replace(two.statistics, seconds=0.0)
    assert [found.mapping for found in one.best] == [found.mapping for found in two.best]


def test_interrupted_within_a_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption while trees are costed keeps what was costed of the same structure before."""
    seen: list[Any] = []

    def interrupt(*arguments: Any) -> Any:
        seen.append(arguments)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return best_of(*arguments)

    monkeypatch.setattr("fusemax.mapper.search.search.best_of", interrupt)
    monkeypatch.setattr(Generated, "structures", lambda self, _: iter([self.structure(0, 0)]))
    found = map_cascade("matmul", small(lengths=4), MATMUL)
    assert found.statistics.interrupted
    assert 0 < found.statistics.trees < 20
    assert found.best


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_interrupted_processes(jobs: str) -> None:
    """Ctrl-C reaches all processes of a search: it ends at once with the best so far, and without a traceback."""
    asked = ["--cascade", "attention-sink", "--arch", "fusemax-cloud", "--model", "bert", "--seq", "4K"]
    command = (*FUSEMAX, "map", *asked, "--limit", "1000000", "--jobs", jobs)
    with terminal() as (shown, end):
        with started(*command, stderr=end) as process:
            wait_until(lambda: "searching: " in shown(), process)
            os.killpg(process.pid, signal.SIGINT)
            out, _ = process.communicate(timeout=20)
        assert all(line.startswith("searching: ") or not line.strip() for line in shown().split("\r"))
    assert process.returncode == 130
    assert "interrupted: this is the best so far" in out
    assert " 0 trees and 0 candidates costed" not in out


def test_whoever_needs_the_whole_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoder layers and machines of several sizes need the best of many searches: they end with an interruption of one."""
    record = Search.record

    def interrupt(self: Search, tried: TrialResult) -> Entry | None:
        record(self, tried)
        raise KeyboardInterrupt

    monkeypatch.setattr(Search, "record", interrupt)
    with pytest.raises(KeyboardInterrupt):
        end_to_end(["fusemax-binding"], ["bert"], [1024])  # its linear layers are searched
    with pytest.raises(KeyboardInterrupt):
        end_to_end(["fusemax-binding"], ["bert"], [1024], search=True)
    shapes = {"B": 1, "H": 1, "E": 64, "F": 64, "M": 256, "P": 256}
    with pytest.raises(KeyboardInterrupt):
        pareto(check(load_cascade("attention-1pass")), load_arch("fusemax-cloud"), shapes, dims=[16, 32])


def test_annealing_leaves_where_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a tree of which nothing fits annealing goes on to the next, though nothing of that fits either."""
    steps: list[tuple[State, State]] = []
    neighbour = Generated.neighbour

    def step(self: Generated, state: State, source: Random) -> State:
        found = neighbour(self, state, source)
        steps.append((state, found))
        return found

    monkeypatch.setattr(Generated, "neighbour", step)
    monkeypatch.setattr("fusemax.mapper.search.anneal.try_out", lambda *_: TrialResult((), 1, 1, 1, 0))
    with pytest.raises(FusemaxError):
        map_cascade("matmul", small(lengths=4), MATMUL, strategy="anneal", limit=30)
    assert len(steps) == 29
    assert all(before[1] == after[0] for before, after in pairwise(steps))


def test_interrupted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption before anything is costed leaves no mapping, and says so."""

    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("fusemax.mapper.search.workers.try_out", interrupt)
    found = map_cascade("matmul", small(lengths=4), MATMUL)
    assert found.best == ()
    assert "interrupted: no mapping was found so far" in str(found)
