"""Module paths of the release before: they import, and say where the module is now."""

from importlib import import_module

import pytest

from fusemax.moved import MOVED, NAMES


@pytest.mark.parametrize("old", MOVED)
def test_old_modules_import(old: str) -> None:
    """An old path gives the very module that is in the new place, with a warning that names it."""
    with pytest.warns(DeprecationWarning, match=f"fusemax.{MOVED[old]}"):
        module = import_module(f"fusemax.{old}")
    assert module is import_module(f"fusemax.{MOVED[old]}")


@pytest.mark.parametrize("old", NAMES)
def test_old_names_import(old: str) -> None:
    """A name that moved is still found in the module where it was, with a warning that names the new one."""
    module, name = f"fusemax.{old}".rsplit(".", 1)
    with pytest.warns(DeprecationWarning, match=f"fusemax.{NAMES[old]}.{name}"):
        found = getattr(import_module(module), name)
    assert found is getattr(import_module(f"fusemax.{NAMES[old]}"), name)


@pytest.mark.parametrize("module", sorted({old.rsplit(".", 1)[0] for old in NAMES}))
def test_other_names_do_not_appear(module: str) -> None:
    """A name that never was in a module is an attribute error."""
    with pytest.raises(AttributeError, match="has no attribute 'load_everything'"):
        getattr(import_module(f"fusemax.{module}"), "load_everything")  # noqa: B009


def test_other_modules_do_not_appear() -> None:
    """A path that never was is still no module."""
    with pytest.raises(ModuleNotFoundError):
        import_module("fusemax.model.plans")
