"""The output of the commands, and their exit statuses."""

from __future__ import annotations

import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TextIO

import click

from fusemax.errors import FusemaxError, Problem
from fusemax.moved import Renamed

if TYPE_CHECKING:
    from fusemax.view import Result, Table

SUCCESS, FAILURE, INTERRUPTED = 0, 1, 130
PATIENCE_S = 1.0
"""Seconds after which a command shows its progress."""
EVERY_S = 0.1
"""Seconds between two such lines."""
_P = ParamSpec("_P")


def complain(error: FusemaxError) -> None:
    """Print all problems of an error."""
    for problem in error.problems:
        place = "" if problem.span else click.style("error: ", fg="red", bold=True)
        click.echo(f"{place}{problem}", err=True)
    if len(error.problems) > 1:
        click.echo(f"{len(error.problems)} problems", err=True)


def width() -> int | None:
    """The columns of the terminal; None if the output goes to a file or another program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_result(result: Result, as_json: bool) -> None:
    """Print a result: its text, or its JSON."""
    print_json(result.to_json()) if as_json else print_text(result)


def print_text(*shown: Result | Table) -> None:
    """Print results or tables, as wide as the terminal, with an empty line between."""
    click.echo("\n\n".join(each.text(width()) for each in shown))


@contextmanager
def noting() -> Iterator[None]:
    """Print a note on standard error for each old word that is read inside, once."""
    told: set[str] = set()
    others = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
        line: str | None = None,
    ) -> None:  # fmt: skip
        if not issubclass(category, Renamed):
            others(message, category, filename, lineno, file, line)
        elif str(message) not in told:
            told.add(str(message))
            click.echo(f"{click.style('note: ', fg='yellow')}{message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", Renamed)
        warnings.showwarning = show
        yield


def print_json(data: object) -> None:
    """Print data as JSON."""
    import json

    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_notes(notes: tuple[Problem, ...], err: bool = True) -> None:
    """Print remarks, beside the results unless told otherwise."""
    for note in notes:
        click.echo(f"{click.style('note: ', fg='yellow')}{note}", err=err)


def write_text(path: Path, text: str) -> None:
    """Write a text as it is."""
    path.write_text(text, encoding="utf-8", newline="\n")


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays into a .npz file."""
    import numpy as np

    np.savez(path, **arrays)


def check_files(csv: Path | None, plot: Path | None) -> None:
    """Refuse files that could not be written, before work is done for them. Raises `FusemaxError`."""
    from fusemax.report.figures import SUFFIXES
    from fusemax.report.files import check_target

    if csv is not None:
        check_target(csv, (".csv",))
    if plot is not None:
        check_target(plot, SUFFIXES)


def write_files(result: Result, csv: Path | None, plot: Path | None) -> None:
    """Write the rows of a result, and its picture. Raises `FusemaxError` for files that cannot be written."""
    from fusemax.report.files import write_whole

    if csv is not None:
        write_whole(csv, lambda path: write_text(path, result.to_csv()))
    if plot is not None:
        result.plot(plot)


def print_wrote(*paths: Path | None) -> None:
    """Name the files that were written, on standard error."""
    for path in paths:
        if path is not None:
            click.echo(f"wrote {path}", err=True)


class Progress:
    """A line on the terminal with the progress of a long run, wiped away at its end; files get nothing of it."""

    def __init__(self) -> None:
        self.start = self.last = time.monotonic()
        self.shown = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown:
            click.echo(f"\r{' ' * len(self.shown)}\r", nl=False, err=True)

    def told(self, say: Callable[_P, str]) -> Callable[_P, None] | None:
        """A function to call at each step, whose arguments `say` turns into a line; None without a terminal."""

        def show(*args: _P.args, **kwargs: _P.kwargs) -> None:
            now = time.monotonic()
            if now - self.start > PATIENCE_S and now - self.last > EVERY_S:
                self.last, self.shown = now, say(*args, **kwargs).ljust(len(self.shown))
                click.echo(f"\r{self.shown}", nl=False, err=True)

        return show if sys.stderr.isatty() else None
