"""The types of everything that is checked by mypy hold."""

import sys

import pytest

from tests.processes import ran


@pytest.mark.slow
def test_the_types_hold() -> None:
    """mypy finds nothing: a test among others, so that it has its turn on whichever core is free."""
    found = ran(sys.executable, "-m", "mypy", "--strict", timeout=600)
    assert found.returncode == 0, found.stdout + found.stderr
