"""Processes that tests start: they answer signals as those of a shell do, and none outlives its test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FUSEMAX = (sys.executable, "-m", "fusemax")
SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def started(*command: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own while a `with` lasts; then it is killed, with all that it has started.

    Its output comes through pipes, as text, unless `options` of `subprocess.Popen` say otherwise.
    """
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with _answering_signals():
        process = subprocess.Popen(
            list(map(str, command)), **{"cwd": ROOT, "encoding": "utf-8", **pipes, **options}, start_new_session=True
        )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def ran(*command: str | Path, timeout: float = 60, text: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    """A process that has ended, with its output; `text` is its standard input."""
    with started(*command, **{"stdin": subprocess.PIPE, **options}) as process:
        out, err = process.communicate(text, timeout)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str], timeout: float = 60) -> None:
    """Wait until something holds while a process runs."""
    end = time.monotonic() + timeout
    while not holds():
        assert process.poll() is None, "the process has ended"
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.02)


def computed_s(process: subprocess.Popen[str]) -> float:
    """The seconds for which a process has computed so far, which a busy machine does not change."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def terminal() -> Iterator[tuple[Callable[[], str], int]]:
    """A terminal without a keyboard: what it has shown so far, and the end for a process to write to."""
    screen, end = os.openpty()
    os.set_blocking(screen, False)
    pieces: list[bytes] = []

    def shown() -> str:
        with suppress(BlockingIOError):
            while piece := os.read(screen, 4096):
                pieces.append(piece)
        return b"".join(pieces).decode()

    try:
        yield shown, end
    finally:
        os.close(end)
        os.close(screen)


@contextmanager
def _answering_signals() -> Iterator[None]:
    """What is started here answers signals, also if this process ignores them, as under `nohup` and in the background.

    A new program inherits what is ignored, but no handlers of Python.
    """
    ignored = [number for number in SIGNALS if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
