"""The command line: the only module that prints, reads the arguments, or returns an exit status."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from fusemax import __version__, resources
from fusemax.errors import FusemaxError, Problem

SUCCESS, FAILURE, INTERRUPTED = 0, 1, 130
Kind = click.ParamType[Any] if TYPE_CHECKING else click.ParamType  # generic for type checkers alone in older releases


def main() -> None:
    """Run the command line and exit: 0, or 1 after a user's mistake, or 130 after an interrupt."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line with arguments and return the exit status."""
    try:
        status = group.main(arguments, prog_name="fusemax", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else SUCCESS
    except FusemaxError as error:
        _complain(error)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        _complain_of_usage(error)
    except BrokenPipeError:  # the reader of our output has gone; there is nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILURE


def _complain(error: FusemaxError) -> None:
    for problem in error.problems:
        place = "" if problem.span else click.style("error: ", fg="red", bold=True)
        click.echo(f"{place}{problem}", err=True)
    if len(error.problems) > 1:
        click.echo(f"{len(error.problems)} problems", err=True)


def _complain_of_usage(error: click.ClickException) -> None:
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "fusemax"
    click.echo(f"{click.style('error: ', fg='red', bold=True)}{_lower(error.format_message())}", err=True)
    click.echo(f"hint: `{command} --help` shows how it is used", err=True)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip(".")


# ------------------------------------------------------------------------------------------------------ kinds of values


class NamedFile(Kind):
    """A path, or the name of a shipped file; completes to both."""

    def __init__(self, kind: str, suffix: str) -> None:
        self.kind, self.suffix, self.name = kind, suffix, suffix[1:] if suffix == ".cascade" else kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The shipped names that begin so, then files."""
        names = [name for name in resources.names(self.kind, self.suffix) if name.startswith(incomplete)]
        return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


class Sizes(Kind):
    """`M=65536`, or several with commas or blanks between; sizes may end in K, M or G for powers of 1024."""

    name = "rank=size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        """The sizes by rank."""
        sizes: dict[str, int] = {}
        for part in re.split(r"[,\s]+", value.strip()):
            rank, equals, size = part.partition("=")
            if not equals or not rank:
                raise FusemaxError(f"'{part}' is not a rank and its size", "write `--shape M=1024`")
            if rank in sizes:
                raise FusemaxError(f"two sizes for rank '{rank}'", "give one")
            sizes[rank] = size_of(size, f"size of rank '{rank}'")
        return sizes


class Length(Kind):
    """A sequence length: `1024`, `1K`, `256K`, `1M`."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The length."""
        return size_of(str(value), "length")


def size_of(text: str, what: str) -> int:
    """A positive integer, with K, M or G for powers of 1024.

    >>> size_of("64K", "length")
    65536
    """
    match = re.fullmatch(r"(-?\d{1,18})([KMG]?)", text.strip())
    if match is None:
        raise FusemaxError(f"{what}: '{text[:60]}' is not an integer", "write a number like 1024, 64K or 1M")
    value = int(match[1]) * 1024 ** " KMG".index(match[2] or " ")
    if value < 1:
        raise FusemaxError(f"{what}: {text} is not positive", "give a positive integer")
    return value


def _merged(ctx: click.Context, param: click.Parameter, values: tuple[dict[str, int], ...]) -> dict[str, int]:
    """One dictionary of a repeated option."""
    merged: dict[str, int] = {}
    for sizes in values:
        for rank, size in sizes.items():
            if merged.setdefault(rank, size) != size:
                raise FusemaxError(f"two sizes for rank '{rank}': {merged[rank]} and {size}", "give one")
    return merged


CASCADE = NamedFile("cascades", ".cascade")
cascade_argument = click.argument("name", metavar="NAME|FILE", type=CASCADE)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a program.")


def shape_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--shape`, `--model` and `--seq`."""
    workload = NamedFile("cascades/workloads", ".yaml")
    options = [
        click.option("--shape", "shapes", type=Sizes(), multiple=True, callback=_merged, metavar="R=N",
                     help="Size of a rank, such as M=65536 or M=64K; may be repeated, or hold several: M=64K,P=64K."),
        click.option("--model", type=workload, metavar="NAME|FILE", help="Shapes of a workload, such as bert."),
        click.option("--seq", "length", type=Length(), metavar="N", help="Sequence length of the workload, such as 1K."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


# -------------------------------------------------------------------------------------------------------------- commands


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fusemax")
def group() -> None:
    """Einsum cascades: check them, run them, and derive how many passes any implementation needs.

    NAME is a shipped cascade (`fusemax list` shows them), FILE a cascade file of your own, or `-` for standard input.
    """


@group.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """Show the cascades, workloads and architectures that are shipped."""
    from fusemax.report.catalog import catalog, catalog_json

    _print_json(catalog_json()) if as_json else click.echo("\n\n".join(table.text() for table in catalog()))


@group.command("check")
@click.argument("names", metavar="NAME|FILE...", type=CASCADE, nargs=-1, required=True)
@json_option
def check_command(names: tuple[str, ...], as_json: bool) -> int:
    """Check cascade files: all problems of each at once, then notes."""
    from fusemax.report.checks import checked_file

    reports = [checked_file(name) for name in names]
    if as_json:
        _print_json([report.to_json() for report in reports])
    for report in () if as_json else reports:
        if report.problems:
            _complain(FusemaxError(report.problems))
        else:
            click.echo(report.summary)
            _print_notes(report.notes, err=False)
    return FAILURE if any(report.problems for report in reports) else SUCCESS


@group.command("fmt")
@click.argument("name", metavar="NAME|FILE", type=CASCADE)
@click.option("--write", is_flag=True, help="Write the canonical text back to the file.")
@click.option("--check", "only_check", is_flag=True, help="Print nothing; exit with 1 if the text is not canonical.")
def fmt_command(name: str, write: bool, only_check: bool) -> int:
    """Print a cascade in its canonical form, with its comments."""
    from fusemax.report.files import write_whole
    from fusemax.syntax.files import load_cascade

    cascade = load_cascade(name)
    text = str(cascade)
    canonical = text == cascade.source.text
    if only_check:
        if not canonical:
            click.echo(f"{name} is not in canonical form\nhint: `fusemax fmt --write {name}` makes it so", err=True)
        return SUCCESS if canonical else FAILURE
    if not write:
        click.echo(text, nl=False)
    elif not Path(name).is_file() or Path(name).suffix in (".yaml", ".yml"):
        raise FusemaxError(f"'{name}' is not a cascade file that can be rewritten", "name a file, or leave out --write")
    elif not canonical:
        write_whole(Path(name), lambda path: _write_text(path, text))
    return SUCCESS


@group.command("analyze")
@cascade_argument
@shape_options
@click.option("--tile", "tiles", type=Sizes(), multiple=True, callback=_merged, metavar="R=N",
              help="Tile of a rank other than the one that is traversed, such as P=256; 1 if not given.")  # fmt: skip
@click.option("--buffer", metavar="SIZE", help="Compare the footprints with a buffer, such as 16MiB.")
@click.option("--word", metavar="SIZE", help="Size of one element; 16bit if not given.")
@click.option("--arch", type=NamedFile("arch", ".yaml"), metavar="NAME|FILE", help="Compare with a machine's roofline.")
@click.option("--explain", metavar="RANK", help="Explain the passes over one rank, boundary by boundary.")
@json_option
def analyze_command(
    name: str, shapes: dict[str, int], model: str | None, length: int | None, tiles: dict[str, int], buffer: str | None,
    word: str | None, arch: str | None, explain: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Derive passes, live footprints, operations and compulsory traffic from a cascade alone.

    Counts are symbolic in the rank shapes, and numbers where --shape or --model give them.
    """
    from fusemax.analysis.explain import explain as explained
    from fusemax.pipeline import analyzed
    from fusemax.units import bits_of, bytes_of

    analysis = analyzed(
        name, shapes=shapes, model=model, length=length, tiles=tiles, arch=arch,
        buffer_bytes=None if buffer is None else bytes_of(buffer, "the buffer"), word_bits=16 if word is None else bits_of(word),
    )  # fmt: skip
    told = explained(analysis, explain) if explain is not None else None
    if as_json:
        _print_json(analysis.to_json())
    else:
        click.echo(told.text() if told else str(analysis))
        _print_notes(analysis.notes)


@group.command("run")
@cascade_argument
@shape_options
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random inputs.")
@click.option("--inputs", type=click.Path(path_type=Path), metavar="FILE", help="Inputs from a .npz file instead.")
@click.option("--against", type=CASCADE, metavar="NAME|FILE", help="Compare with another cascade, such as attention.")
@click.option("--tolerance", type=float, metavar="X", help="With --against: exit with 1 if a difference is larger.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Store the outputs in a .npz file.")
@json_option
def run_command(
    name: str, shapes: dict[str, int], model: str | None, length: int | None, seed: int, inputs: Path | None,
    against: str | None, tolerance: float | None, out: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Run a cascade on random inputs, literally, in float64; compare it with another."""
    from fusemax.pipeline import executed
    from fusemax.report.files import write_whole

    if tolerance is not None and against is None:
        raise FusemaxError("a tolerance without a reference", "add --against NAME")
    report, results = executed(
        name, shapes=shapes, model=model, length=length, seed=seed, against=against, inputs=inputs
    )
    if out is not None:
        write_whole(_with_suffix(out, (".npz",)), lambda path: _write_arrays(path, results))
    _print_json(report.to_json()) if as_json else click.echo(str(report))
    if tolerance is not None and report.difference is not None and not report.difference <= tolerance:
        click.echo(f"error: the difference {report.difference:.3g} is larger than {tolerance:.3g}", err=True)
        return FAILURE
    return SUCCESS


@group.command("graph")
@cascade_argument
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="An .svg, .png or .pdf file.")
@click.option("--rank", metavar="RANK", help="Colour by the passes over this rank; else over the one with most.")
def graph_command(name: str, out: Path, rank: str | None) -> None:
    """Draw a cascade: Einsums as boxes coloured by pass, tensors as arrows, barriers as lines."""
    from fusemax.pipeline import drawn

    path = _with_suffix(out, (".svg", ".png", ".pdf"))
    shown = drawn(name, path, rank)
    click.echo(f"wrote {path}: passes over {shown}")


@group.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print a completion script: put `eval "$(fusemax completion bash)"` into your shell's start file."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(group, {}, "fusemax", "_FUSEMAX_COMPLETE").source())


# --------------------------------------------------------------------------------------------------------------- printing


def _print_json(data: Any) -> None:
    import json

    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def _print_notes(notes: tuple[Problem, ...], err: bool = True) -> None:
    for note in notes:
        click.echo(f"{click.style('note: ', fg='yellow')}{note}", err=err)


def _with_suffix(path: Path, suffixes: tuple[str, ...]) -> Path:
    if path.suffix.lower() not in suffixes:
        raise FusemaxError(f"'{path}' does not end in {' or '.join(suffixes)}", f"name it {path.with_suffix(suffixes[0])}")
    return path


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    import numpy as np

    np.savez(path, **arrays)
