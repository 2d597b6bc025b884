"""Old module paths and old words: each is still read, with a `DeprecationWarning`, for one release after the change."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # both are slow to import, and Python asks only for their methods

    class Loader: ...

    class MetaPathFinder: ...


MOVED = {
    "tables": "view",
    "pipeline": "commands",
    "ir.printer": "ir.print_cascade",
    "ir.mapping_printer": "ir.print_mapping",
    "syntax.parser": "syntax.cascade.parser",
    "syntax.arch": "syntax.yaml.arch",
    "syntax.workload": "syntax.yaml.workload",
    "syntax.study": "syntax.yaml.study",
    "syntax.files": "syntax.load",
    "syntax.teaal": "syntax.importers.teaal",
    "model.choose": "bind.parameters",
    "model.compare": "study.compare",
}
"""Old module -> new module, both below `fusemax`."""

WORDS = {"artifact": "published"}
"""Old word -> new word, in arguments, options and files."""


class Renamed(DeprecationWarning):
    """A name or a word of the release before was used; the command line prints it as a note."""


def _outside() -> int:
    """The level of the stack, as seen from the caller, of the code that calls this package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "fusemax":
        frame, level = frame.f_back, level + 1
    return level


def current(word: str, place: object = None) -> str:
    """The word that stands for an old one, which is told with its place in a text, if it has one.

    >>> current("full")
    'full'
    """
    if word not in WORDS:
        return word
    where = "" if place is None else f"{place}: "
    warnings.warn(f"{where}'{word}' is now '{WORDS[word]}'", Renamed, stacklevel=_outside())
    return WORDS[word]


NAMES = {
    "syntax.mapping.parser.load_mapping": "syntax.load",
    "syntax.mapping.parser.cascade_of": "syntax.load",
    "syntax.mapping.parser.arch_of": "syntax.load",
    "syntax.mapping.parser.seen_from": "syntax.load",
    "syntax.yaml.arch.load_arch": "syntax.load",
    "syntax.yaml.workload.load_workload": "syntax.load",
    "syntax.yaml.study.load_study": "syntax.load",
    "syntax.yaml.study.load_sizes_study": "syntax.load",
}
"""Old module and name -> new module of the name, both below `fusemax`."""


def moved_name(module: str, name: str) -> object:
    """A name that is no longer in a module: for the module's `__getattr__`."""
    old = f"{module.removeprefix('fusemax.')}.{name}"
    if old not in NAMES:
        raise AttributeError(f"module '{module}' has no attribute '{name}'", name=name)
    new = f"fusemax.{NAMES[old]}"
    warnings.warn(f"fusemax.{old} is now {new}.{name}", Renamed, stacklevel=3)
    found: object = getattr(import_module(new), name)
    return found


class _Moved(MetaPathFinder, Loader):
    """Finds an old module and gives the new one in its place."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        old = fullname.removeprefix("fusemax.")
        return ModuleSpec(fullname, self) if old != fullname and old in MOVED else None

    def create_module(self, spec: ModuleSpec) -> None:
        """The module that Python makes by itself, soon to be replaced."""

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        new = f"fusemax.{MOVED[old.removeprefix('fusemax.')]}"
        warnings.warn(f"{old} is now {new}", Renamed, stacklevel=2)
        sys.modules[old] = import_module(new)


def install() -> None:
    """Let old module paths import; modules that exist are found before."""
    sys.meta_path.append(_Moved())
