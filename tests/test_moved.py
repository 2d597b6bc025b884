"""Module paths of the release before: they import, and say where the module is now."""

from importlib import import_module

import pytest

from fusemax.moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_old_modules_import(old: str) -> None:
    """An old path gives the very module that is in the new place, with a warning that names it."""
    with pytest.warns(DeprecationWarning, match=f"fusemax.{MOVED[old]}"):
        module = import_module(f"fusemax.{old}")
    assert module is import_module(f"fusemax.{MOVED[old]}")


def test_other_modules_do_not_appear() -> None:
    """A path that never was is still no module."""
    with pytest.raises(ModuleNotFoundError):
        import_module("fusemax.model.plans")
