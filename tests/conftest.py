"""Fixtures of all tests: golden files, and property tests that draw the same examples on every run."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import configuration, settings

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"

# What tools keep between runs stays inside the checkout, also when pytest is called without make.
os.environ.setdefault("MPLCONFIGDIR", str(ROOT / ".cache" / "matplotlib"))
os.environ.setdefault("MPLBACKEND", "Agg")
configuration.set_hypothesis_home_dir(ROOT / ".cache" / "hypothesis")

settings.register_profile("fusemax", derandomize=True, database=None, deadline=None)
settings.load_profile("fusemax")

Golden = Callable[[str, str], None]
Called = Callable[..., tuple[int, str, str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-golden`, for when a change of what users see is meant."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the expected output (tests/golden, examples/*.txt) instead of comparing with it",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


LEFT_OUT = pytest.StashKey[Counter[str]]()


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what is left out, by file; a process of xdist hands the counts over."""
    for item in items:
        counts = item.config.stash.setdefault(LEFT_OUT, Counter())
        counts[item.nodeid.partition("::")[0]] += 1
        if hasattr(item.config, "workeroutput"):
            item.config.workeroutput["left_out"] = dict(counts)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each process of xdist has left out the same."""
    node.config.stash[LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what is left out, where a part of the tests was asked for by a mark."""
    counts = config.stash.get(LEFT_OUT, Counter())
    if counts and config.getoption("markexpr"):
        terminalreporter.section(f"left out: {counts.total()} tests")
        terminalreporter.line("  ".join(f"{name} ({count})" for name, count in sorted(counts.items())))


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """True if expected output is to be rewritten."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def compare_file(update_golden: bool) -> Callable[[str, Path], None]:
    """`compare_file(text, path)`: the text is the file's, or becomes it under `--update-golden`."""

    def compare(text: str, expected: Path) -> None:
        if update_golden:
            expected.parent.mkdir(parents=True, exist_ok=True)
            expected.write_text(text, encoding="utf-8", newline="\n")
            return
        shown = expected.relative_to(ROOT)
        if not expected.is_file():
            pytest.fail(f"{shown} does not exist; create it with: pytest --update-golden", pytrace=False)
        wanted = expected.read_text(encoding="utf-8")
        assert text == wanted, f"differs from {shown}; if the change is meant: pytest --update-golden"

    return compare


@pytest.fixture
def golden(compare_file: Callable[[str, Path], None]) -> Golden:
    """`golden(text, "name.txt")`: the text is what tests/golden/name.txt says.

    The name may have folders. A missing file is a failure unless `--update-golden` writes it.
    """
    return lambda text, name: compare_file(text, GOLDEN / name)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Called:
    """`call("evaluate", ...)`, in an empty folder: the exit status, the output, and what was said beside it."""
    from fusemax.cli import run

    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> tuple[int, str, str]:
        status = run(list(arguments))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return called
