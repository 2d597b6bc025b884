"""Changes one operator or constant of the package at a time, and tells which changes no test notices.

    python tests/mutants.py [--count 40] [--seed 0] [--jobs 2] [--only TEXT] [--list] [--minutes 15]

Of each part of the package as many places are changed as of every other: comparisons, sums, products, conditions,
constants, `min` and `max`. They are chosen by the text around them, not by files and lines, so that code which moves
elsewhere is changed in the same places. Each change is made in a copy of the repository in .cache/tmp, which is removed
at the end, and the quick tests of its part run there until one fails. Those that survive are printed, with the reason
if they are known to change no result; the exit status is 1 if others survive.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

ROOT = Path(__file__).parent.parent
COPIED = ("fusemax", "tests", "arch", "cascades", "mappings", "grammars", "docs", "examples", "pyproject.toml")
LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (200, 200))
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module with an end to its memory and to its seconds at work: a change may ask for more and more."""
IDLE = 1000
"""Seconds for which a run may wait for whatever it waits for."""
GOLDEN = "tests/test_machines_golden.py"
TESTS: dict[str, tuple[str, ...]] = {
    "analysis": (
        "tests/analysis/test_operations.py", "tests/analysis/test_text.py", "tests/analysis/test_footprint.py",
        "tests/analysis/test_spill.py", "tests/analysis/test_counting.py", "tests/analysis/test_json.py",
        "tests/analysis/test_roofline.py", "tests/analysis/test_generated.py", "tests/analysis/test_analyze.py",
    ),
    "bind": (
        "tests/model/test_by_hand.py", "tests/model/test_machines.py", GOLDEN, "tests/bind/test_distinct.py",
        "tests/bind/test_instantiate.py", "tests/model/test_legal.py", "tests/model/test_choose.py",
        "tests/model/test_inputs.py", "tests/model/test_fusions.py", "tests/model/test_uneven.py",
        "tests/model/test_literal.py",
    ),
    "model": (
        "tests/model/test_by_hand.py", "tests/model/test_machines.py", GOLDEN, "tests/model/test_filtered.py",
        "tests/model/test_published.py", "tests/model/test_uneven.py", "tests/model/test_literal.py",
    ),
    "sim": (
        "tests/sim/test_by_hand.py", GOLDEN, "tests/sim/test_alternation.py", "tests/sim/test_queues.py",
        "tests/sim/test_steady.py", "tests/sim/test_schedules.py", "tests/sim/test_simulate.py",
    ),
    "mapper": (
        "tests/mapper/test_ties.py", GOLDEN, "tests/mapper/test_searches.py", "tests/mapper/test_errors.py",
        "tests/mapper/test_fixed.py", "tests/mapper/test_spaces.py",
    ),
}  # fmt: skip
"""The tests that run for each part of the package, the quick ones first."""
WORDING = re.compile(r"(^|/)(tables|text|json|explain|perfetto|show|infeasible)\.py$")
"""Files that put results into words: their tests compare whole texts, and they compute nothing."""
SPOKEN = {"Problem", "FusemaxError", "listed", "did_you_mean"}
"""What is called to say what is wrong."""
EFFORT = ("MOST", "AT_ONCE", "CHUNK", "AHEAD", "OFTEN", "FOREVER", "LARGEST", "FEWEST", "LARGE", "STRETCH", "SMALL")
"""The first words of constants that say how much is done at once or at most: another number gives the same results."""
UNSEEN = {"strict", "repr", "compare"}
"""Arguments that only matter where something else is wrong, or where no number is."""
TIME = "the time that it takes"
KNOWN: dict[str, str] = {}
"""Changes that change no result, by the function and the change, and why."""

COMPARED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
}  # fmt: skip
COMPUTED: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "+",
}  # fmt: skip
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "int"}


@dataclass(frozen=True)
class Mutant:
    """One change: the bytes of a file from `start` to `end` become `new`."""

    path: str
    line: int
    where: str
    statement: str
    start: int
    end: int
    old: str
    new: str
    key: str

    @property
    def part(self) -> str:
        """The part of the package."""
        return self.path.split("/")[1]

    @property
    def change(self) -> str:
        """The change with its function and the statement before or around it, wherever they stand."""
        return f"{self.where}: {self.old} -> {self.new}  in  {self.statement}"

    def __str__(self) -> str:
        return f"{self.path}:{self.line}  {self.change}"


# ------------------------------------------------------------------------------------------------------------- choosing


class _Finder(ast.NodeVisitor):
    """Finds the places of a file that can be changed."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path, self.data = path, data
        self.lines = [0]
        for line in data.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.where = ["<module>"]
        self.statement = ""
        self.found: list[Mutant] = []
        self.twins: Counter[str] = Counter()

    def at(self, line: int, column: int) -> int:
        """The byte at a line and a column."""
        return self.lines[line - 1] + column

    def visit(self, node: ast.AST) -> None:
        """Visit what computes; not annotations, messages, assertions and what is never equal in two runs."""
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            self.where.append(node.name)
            for child in node.body:
                self.visit(child)
            self.where.pop()
            return
        if isinstance(node, ast.Assert | ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SPOKEN:
            return
        if isinstance(node, ast.Assign) and ast.unparse(node).startswith(EFFORT):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.keyword) and node.arg in UNSEEN:
            return
        if isinstance(node, ast.stmt) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            self.statement = ast.unparse(node).split("\n")[0]
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self.visit(node.value)
            return
        self.change(node)
        self.generic_visit(node)

    def change(self, node: ast.AST) -> None:
        """The changes of one node."""
        match node:
            case ast.Compare(left, [operator], [right]) if type(operator) in COMPARED:
                self.between(left, right, COMPARED[type(operator)])
            case ast.BinOp(left, operator, right) if type(operator) in COMPUTED and not _text(left) | _text(right):
                self.between(left, right, COMPUTED[type(operator)])
            case ast.BoolOp(operator, [first, second, *_]):
                self.between(first, second, "or" if isinstance(operator, ast.And) else "and")
            case ast.Call(ast.Name(name) as called) if name in CALLED:
                self.add(called, CALLED[name])
            case ast.UnaryOp(ast.Not(), operand):
                self.replace(self.at(node.lineno, node.col_offset), self.at(operand.lineno, operand.col_offset), "")
            case ast.Constant(bool(value)):
                self.add(node, repr(not value))
            case ast.Constant(int(value) | float(value)):
                self.add(node, repr(value * 2 if isinstance(value, float) else value + 1))

    def between(self, left: ast.expr, right: ast.expr, new: str) -> None:
        """Change the operator between two expressions."""
        start = self.at(left.end_lineno or left.lineno, left.end_col_offset or 0)
        end = self.at(right.lineno, right.col_offset)
        found = re.search(rb"//|<=|>=|==|!=|[-+*/%<>]|\band\b|\bor\b", self.data[start:end])
        if found is not None:
            self.replace(start + found.start(), start + found.end(), new)

    def add(self, node: ast.expr, new: str) -> None:
        """Change an expression."""
        end = self.at(node.end_lineno or node.lineno, node.end_col_offset or 0)
        self.replace(self.at(node.lineno, node.col_offset), end, new)

    def replace(self, start: int, end: int, new: str) -> None:
        """Take down a change, with a key that knows its function, its statement and which of equal changes it is."""
        old = self.data[start:end].decode()
        where = ".".join(self.where[1:]) or self.statement.split(" = ")[0]
        text = f"{self.where[-1]}|{self.statement}|{old}|{new}"
        self.twins[text] += 1
        line = self.data.count(b"\n", 0, start) + 1
        key = f"{text}|{self.twins[text]}"
        self.found.append(Mutant(self.path, line, where, self.statement, start, end, old.strip(), new, key))


def _text(node: ast.expr) -> bool:
    """Whether an expression is a text."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def mutants_of(root: Path, part: str) -> list[Mutant]:
    """All changes of a part of the package."""
    found: list[Mutant] = []
    for path in sorted((root / "fusemax" / part).rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if not WORDING.search(name):
            data = path.read_bytes()
            finder = _Finder(name, data)
            finder.visit(ast.parse(data))
            found += finder.found
    return found


def chosen(root: Path, count: int, seed: int) -> list[Mutant]:
    """As many changes of each part, in an order that depends on the texts alone; of a function one, if there are enough."""
    parts = [part for part in TESTS if (root / "fusemax" / part).is_dir()]
    picked: list[Mutant] = []
    for n, part in enumerate(parts):
        wanted = count * (n + 1) // len(parts) - count * n // len(parts)
        every = sorted(mutants_of(root, part), key=lambda m: hashlib.sha256(f"{seed}|{m.key}".encode()).digest())
        times: Counter[tuple[str, str]] = Counter()
        turns = []
        for mutant in every:
            turns.append(times[mutant.path, mutant.where])
            times[mutant.path, mutant.where] += 1
        order = sorted(range(len(every)), key=lambda i: turns[i])
        picked += [every[i] for i in order[:wanted]]
    return picked


# -------------------------------------------------------------------------------------------------------------- running


class Copy:
    """A private copy of the repository in which one change at a time is tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.ended = False
        for name in COPIED:
            source, target = ROOT / name, folder / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
        # Known by what is in them, not by their times: a changed file may be as long and as old as the one before.
        self.python("compileall", "-q", "--invalidation-mode", "checked-hash", "fusemax", "tests")

    def python(self, *arguments: str, timeout: float | None = None) -> int | None:
        """The exit status of a module of Python that runs in the copy; None if it takes too long."""
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(self.folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LIMITED, *arguments], cwd=self.folder, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return self.process.wait(0 if self.ended else timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.stop()

    def stop(self) -> None:
        """End what runs in the copy, with all that it has begun."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def failed(self, tests: Sequence[str], timeout: float = IDLE) -> str | None:
        """The test that fails first; None if all pass."""
        memory = self.folder / ".cache" / "pytest" / "v" / "cache" / "lastfailed"
        memory.unlink(missing_ok=True)
        status = self.python("pytest", "-q", "-x", "-p", "no:xdist", *tests, timeout=timeout)
        if status == 0:
            return None
        if memory.is_file():
            return str(next(iter(json.loads(memory.read_text(encoding="utf-8"))), "an import"))
        return TIME if status is None or status < 0 else "an import"

    def tried(self, mutant: Mutant, timeout: float) -> str | None:
        """The test that notices a change; None if it survives."""
        path = self.folder / mutant.path
        data = path.read_bytes()
        try:
            path.write_bytes(data[: mutant.start] + mutant.new.encode() + b" " + data[mutant.end :])
            return self.failed(TESTS[mutant.part], timeout)
        finally:
            path.write_bytes(data)


@dataclass(frozen=True)
class Outcome:
    """What came of a change: the test that noticed it, if one did, and seconds; not `tried` if there was no time left."""

    mutant: Mutant
    tried: bool
    noticed: str | None
    seconds: float


class Run:
    """Tries changes in copies of the repository, as many at once as there are copies."""

    def __init__(self, folder: Path, jobs: int, minutes: float) -> None:
        self.copies = [Copy(folder / str(n)) for n in range(jobs)]
        self.free: SimpleQueue[Copy] = SimpleQueue()
        for copy in self.copies:
            self.free.put(copy)
        self.deadline = time.monotonic() + minutes * 60
        self.right: set[str] = set()

    def tried(self, mutant: Mutant) -> Outcome:
        """Try a change; what notices it must not fail without it."""
        copy, start = self.free.get(), time.monotonic()
        try:
            left = self.deadline - start
            noticed = copy.tried(mutant, min(IDLE, left)) if left > 0 else None
            seconds = time.monotonic() - start
            if noticed is not None and noticed.startswith("tests/") and noticed not in self.right and left > seconds:
                if copy.failed([noticed]) is not None:
                    raise RuntimeError(f"{noticed} fails without any change, too")
                self.right.add(noticed)
            return Outcome(mutant, left > seconds, noticed, seconds)
        finally:
            self.free.put(copy)

    def outcomes(self, mutants: Sequence[Mutant]) -> Iterator[Outcome]:
        """All changes, as they are done."""
        with ThreadPoolExecutor(len(self.copies)) as pool:
            try:
                for future in as_completed([pool.submit(self.tried, mutant) for mutant in mutants]):
                    yield future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                for copy in self.copies:
                    copy.ended = True
                    copy.stop()


def main() -> int:
    """Run from the command line."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--count", type=int, default=40, help="how many changes")
    arguments.add_argument("--seed", type=int, default=0, help="another choice of them")
    arguments.add_argument("--jobs", type=int, default=2, help="how many are tried at once")
    arguments.add_argument("--minutes", type=float, default=15.0, help="stop after so long")
    arguments.add_argument("--only", default="", metavar="TEXT", help="those in whose line of the list this text is")
    arguments.add_argument("--list", action="store_true", help="only print them")
    options = arguments.parse_args()
    missing = [test for tests in TESTS.values() for test in tests if not (ROOT / test).is_file()]
    if missing:
        print(f"there is no {', '.join(missing)}: see the table of tests", file=sys.stderr)
        return 2
    mutants = [mutant for mutant in chosen(ROOT, options.count, options.seed) if options.only in str(mutant)]
    if options.list:
        print("\n".join(map(str, mutants)))
        return 0

    def ended(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, ended)
    results: Counter[str] = Counter()
    cache = ROOT / ".cache" / "tmp"
    cache.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="mutants-", dir=cache) as folder:
            for outcome in Run(Path(folder), max(1, options.jobs), options.minutes).outcomes(mutants):
                word, why = said(outcome)
                results[word] += 1
                print(f"{word:9} {outcome.seconds:5.1f} s  {outcome.mutant}\n{'':20}{why}", flush=True)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(", ".join(f"{number} {word}" for word, number in sorted(results.items())))
    return 1 if results["survives"] or results["not tried"] else 0


def said(outcome: Outcome) -> tuple[str, str]:
    """What came of a change in words, and why."""
    if not outcome.tried:
        return "not tried", "no time was left"
    if outcome.noticed is not None:
        return "killed", outcome.noticed
    known = KNOWN.get(outcome.mutant.change)
    return ("survives", "no reason known") if known is None else ("same", known)


if __name__ == "__main__":
    sys.exit(main())
