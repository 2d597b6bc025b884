"""The commands that search: `map`, `pareto`."""

from __future__ import annotations

from pathlib import Path

import click

from fusemax.cli.options import (
    ARCH,
    CASCADE,
    MAPPING,
    Command,
    Integer,
    Items,
    Kind,
    accounting_option,
    csv_option,
    json_option,
    plot_option,
    shape_options,
)
from fusemax.cli.output import (
    INTERRUPTED,
    SUCCESS,
    Progress,
    check_files,
    print_result,
    print_wrote,
    write_files,
    write_text,
)


class Axis(Kind):
    """An axis of a front; its name is checked with the rest."""

    name = "axis"


@click.command("map", cls=Command, short_help="Find the best mappings of a cascade on an architecture.")
@click.option("--cascade", type=CASCADE, metavar="NAME|FILE", help="A cascade; by default the template's.")
@click.option("--arch", type=ARCH, metavar="NAME|FILE", help="An architecture; by default the template's.")
@shape_options
@click.option(
    "--objective",
    default="latency",
    show_default=True,
    metavar="NAME",
    help="Quantity to minimize: latency, energy, edp or dram.",
)
@click.option(
    "--strategy", default="exhaustive", show_default=True, metavar="NAME", help="Search strategy: exhaustive or anneal."
)
@click.option(
    "--template",
    type=MAPPING,
    metavar="NAME|FILE",
    help="Search the open parts of a mapping: parameters, cases and `?`.",
)
@click.option("--fix", "fix", multiple=True, metavar="NAME=VALUE",
              help="Fix a length, a parameter, or the unit of an Einsum: m0=8, M0=512, Z=UNIT.")  # fmt: skip
@click.option(
    "--keep",
    multiple=True,
    metavar="TENSOR=MEMORY",
    help="Hold a tensor in a memory, A=buffer; in the outermost: in no other.",
)
@click.option("--top", type=Integer("number of mappings", 1), default=5, show_default=True, metavar="N",
              help="Number of mappings to report.")  # fmt: skip
@click.option(
    "--against", type=MAPPING, metavar="NAME|FILE", help="Compare the best with another mapping of the same cascade."
)
@click.option("--simulate", "simulates", is_flag=True, help="Simulate the best mapping too; all tiles are even then.")
@click.option("--check", "checks", is_flag=True, help="Simulate with numbers, and compare them with the interpreter's.")
@click.option("--limit", type=Integer("limit", 1), metavar="N", help="Largest number of loop trees to cost.")
@click.option("--jobs", type=Integer("number of processes", 1), default=1, show_default=True, metavar="N",
              help="Number of processes.")  # fmt: skip
@click.option("--seed", type=Integer("seed", 0), default=0, metavar="N", help="Seed of the random numbers of `anneal`.")
@accounting_option
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the best to a .mapping file.")
@csv_option
@plot_option
@json_option
def map_command(
    cascade: str | None, arch: str | None, shapes: dict[str, int], model: str | None, length: int | None, objective: str,
    strategy: str, template: str | None, fix: tuple[str, ...], keep: tuple[str, ...], top: int, against: str | None,
    simulates: bool, checks: bool, limit: int | None, jobs: int, seed: int, accounting: str, out: Path | None,
    csv: Path | None, plot: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Find mappings: the unit of each Einsum, the variables spread over its axes, loops, tiles and storage.

    Without a template the space is everything that the cascade and the architecture allow. Ctrl-C ends a search with the
    best mappings so far.
    """
    from fusemax.commands import mapped
    from fusemax.mapper.options import SearchOptions
    from fusemax.report.files import check_target, write_whole
    from fusemax.syntax.load import seen_from

    if out is not None:
        check_target(out, (".mapping",))
    check_files(csv, plot)
    with Progress() as progress:
        options = SearchOptions(
            objective, strategy, template, fix, keep, top, accounting, jobs, limit, seed,
            progress=progress.told(searching),
        )  # fmt: skip
        result = mapped(
            cascade, arch, shapes=shapes, options=options, model=model, length=length, against=against,
            simulates=simulates or checks, checks=checks, name=None if out is None else out.stem,
        )  # fmt: skip
    best = result.best
    if out is not None and best:
        write_whole(out, lambda path: write_text(path, str(seen_from(best[0].mapping, out.parent))))
    plot = plot if best else None
    write_files(result, csv, plot)
    print_result(result, as_json)
    print_wrote(out if best else None, csv, plot)
    return INTERRUPTED if result.statistics.interrupted else int(result.wrong)


@click.command("pareto", cls=Command, short_help="Find fronts of latency, energy, area and buffer size.")
@click.option("--cascade", type=CASCADE, metavar="NAME|FILE", help="A cascade; by default the mapping's.")
@click.option("--arch", type=ARCH, metavar="NAME|FILE", help="An architecture; by default the mapping's.")
@click.option("--mapping", type=MAPPING, metavar="NAME|FILE", help="With --dims: the mapping to use at every size.")
@click.option("--template", type=MAPPING, metavar="NAME|FILE", help="Search the open parts of a mapping.")
@shape_options
@click.option("--of", "of", type=Items(Axis()), multiple=True, callback=Items.joined, metavar="AXIS,...",
              help="Two or three axes: latency, energy, area, buffer.")  # fmt: skip
@click.option("--dims", type=Items(Integer("number of elements", 1)), multiple=True, callback=Items.joined, metavar="N,...",
              help="Sizes of the architecture, from its table: elements along every axis.")  # fmt: skip
@click.option(
    "--fix", "fix", multiple=True, metavar="NAME=VALUE", help="Fix a length, a parameter, or the unit of an Einsum."
)
@click.option(
    "--keep", multiple=True, metavar="TENSOR=MEMORY", help="Hold a tensor in a memory; in the outermost: in no other."
)
@click.option("--limit", type=Integer("limit", 1), metavar="N", help="Largest number of loop trees to cost.")
@accounting_option
@json_option
@csv_option
@plot_option
def pareto_command(
    cascade: str | None, arch: str | None, mapping: str | None, template: str | None, shapes: dict[str, int],
    model: str | None, length: int | None, of: list[str], dims: list[int], fix: tuple[str, ...], keep: tuple[str, ...],
    limit: int | None, accounting: str, as_json: bool, csv: Path | None, plot: Path | None,
) -> int:  # fmt: skip
    """Find the front of the mappings of a cascade on an architecture or, with --dims, of architectures of several sizes.

    Points that another one dominates are marked. Ctrl-C ends a search with the front so far.
    """
    from fusemax.commands import traded
    from fusemax.mapper.options import SearchOptions

    check_files(csv, plot)
    with Progress() as progress:
        options = SearchOptions(
            template=template, fix=fix, keep=keep, accounting=accounting, limit=limit, progress=progress.told(searching)
        )
        front = traded(
            cascade, arch, shapes=shapes, options=options, model=model, length=length, mapping=mapping, of=of, dims=dims
        )
    plot = plot if front.points else None
    write_files(front, csv, plot)
    print_result(front, as_json)
    print_wrote(csv, plot)
    return INTERRUPTED if front.interrupted else SUCCESS


def searching(trees: int, value: float) -> str:
    """The progress of a search."""
    return f"searching: {trees:,} trees, best {value:.6g}; Ctrl-C keeps it"


COMMANDS = (map_command, pareto_command)
