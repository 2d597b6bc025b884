"""What the commands write to the terminal, and the statuses with which they exit."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import click

from fusemax.errors import FusemaxError, Problem

SUCCESS, FAILURE, INTERRUPTED = 0, 1, 130


def complain(error: FusemaxError) -> None:
    """Tell of all problems of an error."""
    for problem in error.problems:
        place = "" if problem.span else click.style("error: ", fg="red", bold=True)
        click.echo(f"{place}{problem}", err=True)
    if len(error.problems) > 1:
        click.echo(f"{len(error.problems)} problems", err=True)


def width() -> int | None:
    """The columns of the terminal; none if the output goes to a file or another program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_json(data: Any) -> None:
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


def print_step(text: str) -> None:
    """Show on the terminal, in the place of what was shown before, how far a long run is; nothing if it is none."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", nl=False, err=True)


def print_wrote(path: Path) -> None:
    """Tell of a file that was written, beside the results."""
    click.echo(f"wrote {path}", err=True)
