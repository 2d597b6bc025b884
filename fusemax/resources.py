"""Where the files that ship with fusemax are.

They live in folders at the top of a checkout (`grammars/`, `cascades/`, ...) and travel in the wheel as
`fusemax/_data/<kind>`. Nobody else needs to know which of the two is in use.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def directory(kind: str) -> Path:
    """The folder of one kind of shipped file, such as "cascades" or "cascades/workloads".

    The packaged copy wins; without one this is a checkout, and the folder is beside the package.
    A kind that does not ship is a mistake of the caller and no user's: AssertionError.

    >>> directory("grammars").name
    'grammars'
    """
    packaged = _PACKAGE / "_data" / kind
    found = packaged if packaged.is_dir() else _PACKAGE.parent / kind
    assert found.is_dir(), f"fusemax ships no folder {kind!r}"
    return found


def names(kind: str, suffix: str) -> tuple[str, ...]:
    """The names of one kind of shipped file, sorted and without the suffix.

    Subfolders are not searched: "cascades/workloads" is a kind of its own.

    >>> "cascade" in names("grammars", ".lark")
    True
    >>> names("grammars", ".none")
    ()
    """
    return tuple(sorted(entry.name.removesuffix(suffix) for entry in directory(kind).iterdir() if _is(entry, suffix)))


def path(kind: str, name: str, suffix: str) -> Path:
    """The file of that name. The caller has looked the name up in `names`: any other is an AssertionError.

    >>> path("grammars", "cascade", ".lark").name
    'cascade.lark'
    """
    assert name in names(kind, suffix), f"fusemax ships no {name + suffix!r} in {kind!r}"
    return directory(kind) / f"{name}{suffix}"


def _is(entry: Path, suffix: str) -> bool:
    return entry.name.endswith(suffix) and not entry.name.startswith(".") and entry.is_file()
