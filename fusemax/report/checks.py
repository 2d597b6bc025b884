"""The result of checking one file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from fusemax.errors import FusemaxError, Problem
from fusemax.syntax.load import load_cascade
from fusemax.validate import check
from fusemax.view import Json, Record, Result, Table, joined


@dataclass(frozen=True, slots=True)
class CheckResult(Result):
    """A file with its problems, or, without any, a summary and notes."""

    first_column: ClassVar[str] = "file"
    name: str
    summary: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()

    def tables(self) -> Iterator[Table]:
        """The summary, with problems and notes below."""
        yield Table(self.summary, below=tuple(line for p in self.found for line in str(p).splitlines()))

    @property
    def found(self) -> tuple[Problem, ...]:
        """Problems, then notes."""
        return (*self.problems, *self.notes)

    def records(self) -> list[Record]:
        """A row for each problem, then for each note."""
        kinds = ["problem"] * len(self.problems) + ["note"] * len(self.notes)
        return [{"file": self.name, "kind": k, **_problem(p)} for k, p in zip(kinds, self.found, strict=True)]

    def to_json(self) -> Json:
        """The result as JSON data (docs/json.md)."""
        return {
            "file": self.name,
            "ok": not self.problems,
            "problems": [_problem(problem) for problem in self.problems],
            "notes": [_problem(note) for note in self.notes],
        }


def _problem(problem: Problem) -> Json:
    line, column = problem.span.source.position(problem.span.start) if problem.span else (None, None)
    return {"message": problem.message, "line": line, "column": column, "hint": problem.hint}


def checked_file(name: str) -> CheckResult:
    """Load and check one file or shipped cascade."""
    try:
        checked = check(load_cascade(name))
    except FusemaxError as error:
        return CheckResult(name, f"{name}: not a cascade", error.problems)
    arrow = f"{joined([t.name for t in checked.inputs], 'no input')} -> {joined([t.name for t in checked.outputs])}"
    number = len(checked.einsums)
    return CheckResult(name, f"{name}: ok, {number} Einsum{'s' * (number != 1)}, {arrow}", notes=checked.notes)
