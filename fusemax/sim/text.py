"""A trace for a person: totals, who works and who waits for what, and a waterfall of the window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusemax.sim.trace import ServerTrace, Slice, Trace
from fusemax.tables import Table
from fusemax.units import readable_bytes, readable_number, readable_seconds

MOST_REASONS = 3
LINES = 40
"""Lines of a waterfall: each shows an equal part of the window."""
LEAST_WIDTH = 40


def trace_text(trace: Trace, width: int | None = None) -> str:
    """The tables, and the waterfall."""
    return "\n\n".join([*(table.text(width) for table in trace_tables(trace)), waterfall(trace, width or 100)])


def trace_tables(trace: Trace) -> Iterator[Table]:
    """Totals, servers, tiles that are set aside, and queues."""
    ratio = trace.makespan / trace.closed_form if trace.closed_form else 1.0
    jumped = trace.tasks - trace.simulated
    below = (
        f"latency {readable_seconds(trace.latency_s)}, {readable_number(round(trace.makespan))} cycles: {ratio:.4f} of the closed form's",
        f"DRAM traffic {readable_bytes(trace.dram_bytes)}",
        f"{readable_number(trace.tasks)} tasks"
        + (f", {readable_number(jumped)} of them by their period" if jumped else ""),
        f"sizes {', '.join(f'{rank}={size}' for rank, size in trace.shapes.items())}",
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
        yield Table("Set aside in memories", ("memory", "tensor", "room"), held, right=(2,))
    if trace.queues:
        queues = tuple((tensor, f"{words:g}") for tensor, words in trace.queues.items())
        yield Table("Longest queues between units, in words a lane", ("tensor", "words"), queues, right=(1,))


def _idle(server: ServerTrace, trace: Trace) -> float:
    return trace.makespan - server.busy


def _reasons(server: ServerTrace) -> str:
    """The reasons for which it waited longest, with their cycles."""
    longest = sorted(server.stalls.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{why} {readable_number(round(cycles))}" for why, cycles in longest[:MOST_REASONS] if round(cycles)
    )


def waterfall(trace: Trace, width: int) -> str:
    """The window as lines of equal time, a column a unit: what it does most of the time there; dots are idle.

    Einsums are written with the coordinates that change in the window.
    """
    begin, end = trace.window
    if not trace.slices or end <= begin:
        return "nothing happens in the window"
    names = [server.name for server in trace.servers]
    changing = changing_loops(trace.slices)
    step = (end - begin) / LINES
    column = max(12, (max(width, LEAST_WIDTH) - 12) // len(names) - 2)
    lines = [f"{'cycle':>10}  " + "  ".join(name.ljust(column) for name in names).rstrip()]
    by_server = {name: [task for task in trace.slices if task.server == name] for name in names}
    shown: dict[str, str] = {}
    for line in range(LINES):
        low, high = begin + line * step, begin + (line + 1) * step
        cells = []
        for name in names:
            text = _most(by_server[name], low, high, changing)
            cells.append(("|" if text == shown.get(name) and text != "." else text)[:column].ljust(column))
            shown[name] = text
        lines.append(f"{low:>10,.0f}  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def changing_loops(slices: Sequence[Slice]) -> set[str]:
    """The loops that have more than one coordinate in the window."""
    seen: dict[str, set[int]] = {}
    for task in slices:
        for variable, at in task.coordinates.items():
            seen.setdefault(variable, set()).add(at)
    return {variable for variable, values in seen.items() if len(values) > 1}


def _most(slices: Sequence[Slice], low: float, high: float, changing: set[str]) -> str:
    """The task that takes most of a line; a dot if it is idle for most of it."""
    best, longest, busy = ".", 0.0, 0.0
    for task in slices:
        overlap = min(task.end, high) - max(task.start, low)
        if overlap > 0:
            busy += overlap
            if overlap > longest:
                best, longest = title(task, changing), overlap
    return best if busy >= (high - low) / 2 else "."


def title(task: Slice, changing: set[str] | None = None) -> str:
    """A task with its coordinates: `BQK m1=0 p1=2`."""
    at = (
        f"{variable}={value}"
        for variable, value in task.coordinates.items()
        if changing is None or variable in changing
    )
    return " ".join([task.name, *at])
