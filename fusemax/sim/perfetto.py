"""Slices as trace events of Chrome and Perfetto: a track a unit, a slice a task; a microsecond stands for a cycle."""

from __future__ import annotations

import json
from types import TracebackType
from typing import TextIO

from fusemax.errors import FusemaxError
from fusemax.sim.trace import Slice
from fusemax.units import readable_bytes

MOST_TRACE_BYTES = 512 * 2**20
BYTES_PER_SLICE = 200
"""Roughly."""


def check_size(tasks: int) -> None:
    """Refuse a file that would be too large to open. Raises `FusemaxError`."""
    size = tasks * BYTES_PER_SLICE
    if size > MOST_TRACE_BYTES:
        raise FusemaxError(
            f"a trace of all {tasks:,} tasks would take about {readable_bytes(size)}, and {readable_bytes(MOST_TRACE_BYTES)} is the limit",
            "trace a part of it: `--window 0:100000`, in cycles",
        )


class PerfettoWriter:
    """Writes slices to a text file as they come; to be used in a `with` statement.

    >>> import io
    >>> from fusemax.sim.stall import Stall, StallKind
    >>> file = io.StringIO()
    >>> waits = Stall(StallKind.OPERAND, "A")
    >>> with PerfettoWriter(file, "mine", ("array",)) as writer:
    ...     writer.write(Slice("array", "Z", 0, 0, {"m": 3}, 0.0, 2.0, 5.0, waits, None))
    >>> [event["ph"] for event in json.loads(file.getvalue())["traceEvents"]]
    ['M', 'M', 'X']
    """

    def __init__(self, file: TextIO, title: str, tracks: tuple[str, ...]) -> None:
        self.file, self.title = file, title
        self.tracks = {name: i for i, name in enumerate(tracks, 1)}
        self.written = 0

    def __enter__(self) -> PerfettoWriter:
        self.file.write('{"displayTimeUnit": "ns", "otherData": {"time": "a microsecond is a cycle"}, "traceEvents": [')
        self._event({"ph": "M", "pid": 1, "name": "process_name", "args": {"name": self.title}}, "\n")
        for name, track in self.tracks.items():
            self._event({"ph": "M", "pid": 1, "tid": track, "name": "thread_name", "args": {"name": name}})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.file.write("\n]}\n")

    def write(self, task: Slice) -> None:
        """One slice."""
        arguments: dict[str, object] = dict(task.coordinates)
        if task.waited and task.why is not None:
            arguments |= {"waited": round(task.waited, 3), "for": str(task.why)}
        self.written += 1
        if self.written * BYTES_PER_SLICE > 2 * MOST_TRACE_BYTES:
            raise FusemaxError("the window has more tasks than a trace can hold", "give a smaller `--window`")
        self._event({
            "ph": "X", "pid": 1, "tid": self.tracks[task.server], "name": task.name, "ts": round(task.start, 3),
            "dur": round(task.end - task.start, 3), "args": arguments,
        })  # fmt: skip

    def _event(self, event: dict[str, object], before: str = ",\n") -> None:
        self.file.write(before + json.dumps(event, separators=(",", ":")))
