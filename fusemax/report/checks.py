"""What `fusemax check` found in one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fusemax.errors import FusemaxError, Problem
from fusemax.syntax.load import load_cascade
from fusemax.validate import check
from fusemax.view import joined


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A file, with its problems, or else what it is and notes on it."""

    name: str
    summary: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The report as JSON data."""
        return {
            "file": self.name,
            "ok": not self.problems,
            "problems": [_problem(problem) for problem in self.problems],
            "notes": [_problem(note) for note in self.notes],
        }


def _problem(problem: Problem) -> dict[str, Any]:
    line, column = problem.span.source.position(problem.span.start) if problem.span else (None, None)
    return {"message": problem.message, "line": line, "column": column, "hint": problem.hint}


def checked_file(name: str) -> CheckReport:
    """Load and check one file or shipped cascade."""
    try:
        checked = check(load_cascade(name))
    except FusemaxError as error:
        return CheckReport(name, f"{name}: not a cascade", error.problems)
    arrow = f"{joined([t.name for t in checked.inputs], 'no input')} -> {joined([t.name for t in checked.outputs])}"
    number = len(checked.einsums)
    return CheckReport(name, f"{name}: ok, {number} Einsum{'s' * (number != 1)}, {arrow}", notes=checked.notes)
