"""A trace as text: totals, units and their stalls, reserved memory, queues, and a waterfall of the window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import floor, log10

from fusemax.sim.trace import ServerTrace, Slice, Trace
from fusemax.units import readable_bytes, readable_number, readable_seconds
from fusemax.view import Table, model_line

MOST_REASONS = 3
LINES = 40
"""Lines of a waterfall: each shows an equal part of the window."""
LEAST_WIDTH, NARROWEST = 40, 12
IDLE_CELL = (".",)


def trace_tables(trace: Trace) -> Iterator[Table]:
    """Totals, servers, reserved memory, and queues."""
    ratio = trace.makespan / trace.closed_form if trace.closed_form else 1.0
    jumped = trace.tasks - trace.simulated
    below = (
        f"latency {readable_seconds(trace.latency_s)}, {readable_number(round(trace.makespan))} cycles: {ratio:.4f} of the closed form's",
        f"DRAM traffic {readable_bytes(trace.dram_bytes)}",
        f"{readable_number(trace.tasks)} tasks" + (f", {readable_number(jumped)} fast-forwarded" if jumped else ""),
        f"sizes {', '.join(f'{rank}={size}' for rank, size in trace.shapes.items())}",
        *model_line(trace.model, trace.seq),
        *_numbers(trace),
        *(f"note: {note}" for note in trace.notes),
    )
    yield Table(f"{trace.mapping}: {trace.cascade} on {trace.arch}, simulated", below=below)
    rows = tuple(
        (
            s.name,
            f"{s.busy / trace.makespan:.1%}",
            readable_number(round(s.busy)),
            readable_number(round(_idle(s, trace))),
            _reasons(s),
        )
        for s in trace.servers
    )
    yield Table("Units, in cycles", ("unit", "busy", "at work", "idle", "waits for"), rows, right=(1, 2, 3))
    held = tuple(
        (memory, tensor, readable_bytes(size))
        for memory, tiles in trace.reserved.items()
        for tensor, size in tiles.items()
    )
    if held:
        yield Table("Reserved in memories", ("memory", "tensor", "size"), held, right=(2,))
    if trace.queues:
        queues = tuple((tensor, f"{words:g}") for tensor, words in trace.queues.items())
        yield Table("Longest queues between units, in words a lane", ("tensor", "words"), queues, right=(1,))


def _numbers(trace: Trace) -> Iterator[str]:
    """Whether its numbers are right, if they were checked."""
    if trace.error is not None:
        verdict = "wrong" if trace.wrong else "right"
        yield f"numbers {verdict}: off by {trace.error:.2g} at most, relative to the interpreter's"


def _idle(server: ServerTrace, trace: Trace) -> float:
    return trace.makespan - server.busy


def _reasons(server: ServerTrace) -> str:
    """The reasons for which it waited longest, with their cycles."""
    longest = sorted(server.stalls.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{why} {readable_number(round(cycles))}" for why, cycles in longest[:MOST_REASONS] if round(cycles)
    )


def waterfall(trace: Trace, width: int | None = None) -> str:
    """The window as lines of equal time, a column a unit: the task that takes most of the time there; dots are idle.

    Einsums are written with the coordinates that change in the window; those that do not stand above, once. If a `width`
    is given, coordinates for which there is no room are left out.
    """
    begin, end = trace.window
    if end <= begin:
        return "the run has ended before the window"
    names = [server.name for server in trace.servers]
    changing = changing_loops(trace.slices)
    step = (end - begin) / LINES
    columns = [_most(trace, name, step, changing) for name in names]
    wide = [
        max(len(name), *(len(" ".join(cell)) for cell in column)) for name, column in zip(names, columns, strict=True)
    ]
    if width is not None:
        each = max(NARROWEST, (max(width, LEAST_WIDTH) - 12) // len(names) - 2)
        spare = sum(max(0, each - one) for one in wide) // max(1, sum(one > each for one in wide))
        wide = [min(one, each + spare) for one in wide]
    fixed = fixed_loops(trace.slices, changing)
    lines = [f"in the window {fixed}"] if fixed else []
    lines.append(f"{'cycle':>10}  " + "  ".join(map(str.ljust, names, wide)).rstrip())
    above: list[tuple[str, ...]] = [()] * len(names)
    for line in range(LINES):
        now = [column[line] for column in columns]
        cells = [
            "|" if cell == before != IDLE_CELL else _cut(cell, room)
            for cell, before, room in zip(now, above, wide, strict=True)
        ]
        at = f"{begin + line * step:>10,.{_decimals(step)}f}"
        lines.append(f"{at}  " + "  ".join(map(str.ljust, cells, wide)).rstrip())
        above = now
    return "\n".join(lines)


def _decimals(step: float) -> int:
    """Digits behind the point that tell lines apart."""
    return 0 if step >= 1 else 1 - floor(log10(step))


def fixed_loops(slices: Sequence[Slice], changing: set[str]) -> str:
    """The coordinates that all tasks of the window have in common."""
    found = {v: at for task in slices for v, at in task.coordinates.items() if v not in changing}
    return ", ".join(f"{variable}={at}" for variable, at in sorted(found.items()))


def _cut(cell: Sequence[str], room: int) -> str:
    """A task without the coordinates for which there is no room."""
    text = " ".join(cell)
    shown = list(cell)
    while len(text) > room and len(shown) > 1:
        shown.pop()
        text = " ".join([*shown, "..."])
    return text if len(text) <= room else text[: room - 3] + "..."


def changing_loops(slices: Sequence[Slice]) -> set[str]:
    """The loops that have more than one coordinate in the window."""
    seen: dict[str, set[int]] = {}
    for task in slices:
        for variable, at in task.coordinates.items():
            seen.setdefault(variable, set()).add(at)
    return {variable for variable, values in seen.items() if len(values) > 1}


def _most(trace: Trace, server: str, step: float, changing: set[str]) -> list[tuple[str, ...]]:
    """For each line the task that takes most of it: its name and coordinates; a dot if the unit is idle for most of it."""
    begin, end = trace.window
    best: list[tuple[float, tuple[str, ...]]] = [(0.0, IDLE_CELL)] * LINES
    busy = [0.0] * LINES
    until = begin
    for task in trace.slices:
        if task.server != server:
            continue
        first, last = max(task.start, begin), min(task.end, end)
        for line in range(int((first - begin) / step), min(LINES, int((last - begin) / step) + 1)):
            low, high = begin + line * step, begin + (line + 1) * step
            overlap = min(last, high) - max(first, low)
            if overlap > best[line][0]:
                best[line] = overlap, task_title(task, changing)
            busy[line] += max(0.0, min(last, high) - max(first, low, until))
        until = max(until, last)
    return [cell if work >= step / 2 else IDLE_CELL for (_, cell), work in zip(best, busy, strict=True)]


def task_title(task: Slice, changing: set[str]) -> tuple[str, ...]:
    """A task and those of its coordinates that change: `BQK`, `m1=0`, `p1=2`."""
    return task.name, *(f"{v}={at}" for v, at in task.coordinates.items() if v in changing)
