"""Options and arguments that commands share, and the kinds of values that they take."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

from fusemax import resources
from fusemax.errors import FusemaxError
from fusemax.moved import current
from fusemax.units import integer_of

if TYPE_CHECKING:
    Kind = click.ParamType[Any]
else:  # not generic in older releases
    Kind = click.ParamType


_P = ParamSpec("_P")
R = TypeVar("R")


class Command(click.Command):
    """A command whose `--shape M=4 P=4` is `--shape M=4,P=4`: sizes may follow the first, with blanks between."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, with sizes gathered."""
        gathered: list[str] = []
        for argument in args:
            option, last = ["", "", *gathered][-2:]
            sized = option in ("--shape", "--tile") or last.startswith(("--shape=", "--tile="))
            if sized and re.fullmatch(r"[A-Za-z]\w*=\S*", argument):
                gathered[-1] += f",{argument}"
            else:
                gathered.append(argument)
        return super().parse_args(ctx, gathered)


class NamedFile(Kind):
    """A path, or the name of a shipped file; completes to both."""

    def __init__(self, kind: str, suffix: str) -> None:
        self.kind, self.suffix, self.name = kind, suffix, kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The shipped names that begin so, then files."""
        names = [name for name in resources.names(self.kind, self.suffix) if name.startswith(incomplete)]
        return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


class SizesOption(Kind):
    """`M=65536`, or several with commas or blanks between; sizes may end in K, M or G for powers of 1024."""

    name = "rank=size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[tuple[str, int]]:
        """Each rank with its size."""
        return [self._pair(part) for part in re.split(r"[,\s]+", str(value).strip())]

    def _pair(self, text: str) -> tuple[str, int]:
        rank, equals, size = text.partition("=")
        if not equals or not rank:
            raise FusemaxError(f"'{text[:60]}' is not a rank and its size", "write it like M=1024")
        return rank, integer(size, f"size of rank '{rank}'")

    @staticmethod
    def merged(ctx: click.Context, param: click.Parameter, values: tuple[list[tuple[str, int]], ...]) -> dict[str, int]:
        """The sizes of all options by rank."""
        sizes: dict[str, int] = {}
        for rank, size in (pair for pairs in values for pair in pairs):
            if sizes.setdefault(rank, size) != size:
                raise FusemaxError(f"two sizes for rank '{rank}': {sizes[rank]} and {size}", "give one")
        return sizes


class Integer(Kind):
    """An integer not below a limit: `1024`, `1K`, `256K`, `1M`."""

    name = "integer"

    def __init__(self, what: str, least: int) -> None:
        self.what, self.least = what, least

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The integer."""
        return integer(str(value), self.what, self.least)


def integer(text: str, what: str, least: int = 1) -> int:
    """An integer, with K, M or G for powers of 1024. Raises `FusemaxError` if it is none, or less than `least`.

    >>> integer("64K", "length")
    65536
    """
    value = integer_of(text, most_digits=40, signed=True)
    if value is None:
        raise FusemaxError(f"{what}: '{text[:60]}' is not an integer", "write a number like 1024, 64K or 1M")
    if value < least:
        raise FusemaxError(f"{what}: {text.strip()} is less than {least}", f"give an integer of at least {least}")
    return value


class Items(Kind):
    """Several values with commas between, each of a kind of its own."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.name = kind, kind.name

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> list[object]:
        """The values."""
        items = [item.strip() for item in str(value).split(",")]
        if not all(items):
            raise FusemaxError(f"'{str(value)[:60]}' has an empty place between its commas", "write it like a,b,c")
        return [self.kind.convert(item, param, ctx) for item in items]

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Completions of the last value."""
        before, comma, last = incomplete.rpartition(",")
        return [CompletionItem(f"{before}{comma}{item.value}") for item in self.kind.shell_complete(ctx, param, last)]

    @staticmethod
    def joined(ctx: click.Context, param: click.Parameter, values: tuple[list[object], ...]) -> list[object]:
        """The values of all options, each once."""
        return list(dict.fromkeys(value for several in values for value in several))


class Shown(Kind):
    """An architecture or a mapping: a path, or the name of a shipped file; completes to all of them."""

    name = "shown"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The shipped architectures, then the mappings, then files."""
        arches = ARCH.shell_complete(ctx, param, incomplete)
        return [*arches[:-1], *MAPPING.shell_complete(ctx, param, incomplete)]


class Word(click.Choice[str]):
    """One of several words; old ones are read for a release."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word."""
        return super().convert(current(str(value)), param, ctx)


class Setting(Kind):
    """`rows=1024`, `kept=QK A`: a parameter of a mapping and its value."""

    name = "name=value"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The parameter and the text of its value."""
        name, equals, text = str(value).partition("=")
        if not equals or not name.strip():
            raise FusemaxError(f"'{str(value)[:60]}' is not a parameter and its value", "write it like rows=1024")
        return name.strip(), text

    @staticmethod
    def merged(ctx: click.Context, param: click.Parameter, values: tuple[tuple[str, str], ...]) -> dict[str, str]:
        """The settings of all options by parameter."""
        settings: dict[str, str] = {}
        for name, text in values:
            if settings.setdefault(name, text) != text:
                raise FusemaxError(f"two values for parameter '{name}': {settings[name]} and {text}", "give one")
        return settings


def first(kind: NamedFile) -> str:
    """The first shipped name of a kind, as an example for help texts."""
    return resources.names(kind.kind, kind.suffix)[0]


CASCADE = NamedFile("cascades", ".cascade")
WORKLOAD = NamedFile("cascades/workloads", ".yaml")
ARCH = NamedFile("arch", ".yaml")
MAPPING = NamedFile("mappings", ".mapping")
cascade_argument = click.argument("name", metavar="NAME|FILE", type=CASCADE)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a program.")
csv_option = click.option(
    "--csv", type=click.Path(path_type=Path), metavar="FILE", help="Write the rows to a .csv file."
)
plot_option = click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw a picture: a .png, .svg or .pdf file."
)
shape_option = click.option(
    "--shape", "shapes", type=SizesOption(), multiple=True, callback=SizesOption.merged, metavar="R=N ...",
    help="Sizes of ranks, such as M=65536 P=64K.",
)  # fmt: skip
arch_option = click.option(
    "--arch", type=ARCH, metavar="NAME|FILE", help="An architecture in place of the mapping's own."
)
set_option = click.option(
    "--set", "settings", type=Setting(), multiple=True, callback=Setting.merged, metavar="NAME=VALUE",
    help='Value of a parameter of the mapping: a number, or words as in NAME="A B"; repeatable.',
)  # fmt: skip
accounting_option = click.option(
    "--accounting", type=Word(["full", "published"]), default="full", show_default=True,
    help="Accesses that energy counts: all, or those of published numbers.",
)  # fmt: skip


def shape_options(command: Callable[_P, R]) -> Callable[_P, R]:
    """`--shape`, `--model` and `--seq`."""
    options = [
        shape_option,
        click.option("--model", type=WORKLOAD, metavar="NAME|FILE", help=f"Shapes of a workload, such as {first(WORKLOAD)}."),
        click.option("--seq", "length", type=Integer("sequence length", 1), metavar="N",
                     help="Sequence length of the workload, such as 1K."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command
