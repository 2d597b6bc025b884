"""The commands about cascades: `list`, `check`, `fmt`, `analyze`, `run`, `graph`; and `completion`."""

from __future__ import annotations

from pathlib import Path

import click

from fusemax.cli.options import (
    ARCH,
    CASCADE,
    Command,
    Integer,
    SizesOption,
    cascade_argument,
    first,
    json_option,
    shape_options,
)
from fusemax.cli.output import (
    FAILURE,
    SUCCESS,
    complain,
    print_json,
    print_notes,
    print_result,
    print_text,
    write_arrays,
    write_text,
)
from fusemax.errors import FusemaxError


@click.command("list", short_help="List the shipped cascades, architectures and mappings.")
@json_option
def list_command(as_json: bool) -> None:
    """List the shipped cascades, workloads, architectures and mappings."""
    from fusemax.report.catalog import catalog

    print_result(catalog(), as_json)


@click.command("check", short_help="Check cascade files, and report all problems.")
@click.argument("names", metavar="NAME|FILE...", type=CASCADE, nargs=-1, required=True)
@json_option
def check_command(names: tuple[str, ...], as_json: bool) -> int:
    """Check cascade files: all problems of each at once, then notes."""
    from fusemax.report.checks import checked_file

    reports = [checked_file(name) for name in names]
    if as_json:
        print_json([report.to_json() for report in reports])
    for report in () if as_json else reports:
        if report.problems:
            complain(FusemaxError(report.problems))
        else:
            click.echo(report.summary)
            print_notes(report.notes, err=False)
    return FAILURE if any(report.problems for report in reports) else SUCCESS


@click.command("fmt", short_help="Print a cascade in its canonical form.")
@click.argument("name", metavar="NAME|FILE", type=CASCADE)
@click.option("--write", is_flag=True, help="Write the canonical text back to the file.")
@click.option("--check", "only_check", is_flag=True, help="Print nothing; exit with 1 if the text is not canonical.")
def fmt_command(name: str, write: bool, only_check: bool) -> int:
    """Print a cascade in its canonical form, with its comments."""
    from fusemax.report.files import write_whole
    from fusemax.syntax.load import load_cascade

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
        write_whole(Path(name), lambda path: write_text(path, text))
    return SUCCESS


@click.command("analyze", cls=Command, short_help="Derive passes, footprints, operations and traffic.")
@cascade_argument
@shape_options
@click.option("--tile", "tiles", type=SizesOption(), multiple=True, callback=SizesOption.merged, metavar="R=N ...",
              help="Tile sizes of the ranks that are not traversed, such as P=256; 1 by default.")  # fmt: skip
@click.option("--buffer", metavar="SIZE", help="Compare the footprints with a buffer, such as 16MiB.")
@click.option("--word", metavar="SIZE", help="Size of one element; 16bit by default.")
@click.option("--arch", type=ARCH, metavar="NAME|FILE", help="Compare with the roofline of an architecture.")
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
    from fusemax.commands import analyzed
    from fusemax.units import bits_of, bytes_of

    analysis = analyzed(
        name, shapes=shapes, model=model, length=length, tiles=tiles, arch=arch,
        buffer_bytes=None if buffer is None else bytes_of(buffer, "the buffer"), word_bits=16 if word is None else bits_of(word),
    )  # fmt: skip
    told = explained(analysis, explain) if explain is not None else None
    if told is None or as_json:
        print_result(analysis, as_json)
    else:
        print_text(told)
    if not as_json:
        print_notes(analysis.notes)


@click.command("run", cls=Command, short_help="Run a cascade on random or stored inputs.")
@cascade_argument
@shape_options
@click.option(
    "--seed", type=Integer("seed", 0), default=0, metavar="N", help="Seed of the random inputs; 0 by default."
)
@click.option("--inputs", type=click.Path(path_type=Path), metavar="FILE", help="Read the inputs from a .npz file.")
@click.option(
    "--against", type=CASCADE, metavar="NAME|FILE", help=f"Compare with another cascade, such as {first(CASCADE)}."
)
@click.option("--tolerance", type=float, metavar="X", help="With --against: exit with 1 at a larger difference.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Store the outputs in a .npz file.")
@json_option
def run_command(
    name: str, shapes: dict[str, int], model: str | None, length: int | None, seed: int, inputs: Path | None,
    against: str | None, tolerance: float | None, out: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Run a cascade literally, in float64, on random or stored inputs; compare its outputs with another cascade's."""
    from fusemax.commands import executed
    from fusemax.report.files import check_target, write_whole

    if tolerance is not None and against is None:
        raise FusemaxError("a tolerance without a reference", "add --against NAME")
    if tolerance is not None and not tolerance >= 0:
        raise FusemaxError(f"a tolerance of {tolerance:g}", "give 0, or a positive number such as 1e-9")
    if out is not None:
        check_target(out, (".npz",))
    report, results = executed(
        name, shapes=shapes, model=model, length=length, seed=seed, against=against, inputs=inputs
    )
    if out is not None:
        write_whole(out, lambda path: write_arrays(path, results))
    print_result(report, as_json)
    if tolerance is not None and report.difference is not None and not report.difference <= tolerance:
        click.echo(f"error: the difference {report.difference:.3g} is larger than {tolerance:.3g}", err=True)
        return FAILURE
    return SUCCESS


@click.command("graph", short_help="Draw a cascade with its passes.")
@cascade_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Picture to write: a .svg, .png or .pdf file.",
)
@click.option("--rank", metavar="RANK", help="Rank whose passes give the colours; by default one with most passes.")
def graph_command(name: str, out: Path, rank: str | None) -> None:
    """Draw a cascade: Einsums as boxes coloured by pass, tensors as arrows, barriers as lines."""
    from fusemax.commands import drawn
    from fusemax.report.files import check_target

    check_target(out, (".svg", ".png", ".pdf"))
    click.echo(f"wrote {out}: passes over {drawn(name, out, rank)}")


@click.command("completion", short_help="Print a completion script for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print a completion script: put `eval "$(fusemax completion bash)"` into your shell's start file."""
    from click.shell_completion import get_completion_class

    root = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(root, {}, "fusemax", "_FUSEMAX_COMPLETE").source())


COMMANDS = (list_command, check_command, fmt_command, analyze_command, run_command, graph_command, completion_command)
