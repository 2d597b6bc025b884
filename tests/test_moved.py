"""Module paths and words of the release before: they are read, with a warning that names the new ones."""

from importlib import import_module
from pathlib import Path

import pytest

from fusemax import evaluate, parse_mapping, resources
from fusemax.moved import MOVED, NAMES, Renamed
from fusemax.syntax.load import load_study
from tests.conftest import Called


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


def test_old_words_are_read(tmp_path: Path) -> None:
    """The accounting `artifact` is `published`, as an argument, in a mapping and in a study, with a warning."""
    shapes = {"M": 256, "K": 256, "N": 256}
    with pytest.warns(Renamed, match="^'artifact' is now 'published'$"):
        old = evaluate("matmul", "flat-cloud", "linear", shapes, accounting="artifact")
    assert old == evaluate("matmul", "flat-cloud", "linear", shapes, accounting="published")
    text = "mapping m\ncascade matmul\narch flat-cloud\nartifact uncounted exp\nfor m: on array1d: Z over k, n\n"
    with pytest.warns(Renamed, match="^m.mapping:4:1: 'artifact' is now 'published'$"):
        mapping = parse_mapping(text, "m.mapping")
    assert "\npublished uncounted exp\n" in str(mapping)
    shipped = (resources.path("mappings/published", "attention", ".yaml")).read_text(encoding="utf-8")
    for file in resources.path("mappings/published", "attention", ".yaml").parent.glob("*.csv"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "old.yaml").write_text(
        shipped.replace("accounting: published", "accounting: artifact"), encoding="utf-8"
    )
    with pytest.warns(Renamed, match="'artifact' is now 'published'"):
        assert load_study(tmp_path / "old.yaml").accounting == "published"


def test_the_command_line_notes_old_words(call: Called) -> None:
    """An old word gives the same output, and one note beside it."""
    arguments = ("evaluate", "--mapping", "linear", "--shape", "M=256", "K=256", "N=256", "--accounting")
    status, out, err = call(*arguments, "artifact")
    assert (status, err) == (0, "note: 'artifact' is now 'published'\n")
    assert call(*arguments, "published") == (0, out, "")
