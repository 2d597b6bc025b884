"""The commands that search: `map`, `pareto`."""

from __future__ import annotations

from pathlib import Path

import click

from fusemax.cli.models import PICTURES
from fusemax.cli.options import (
    ARCH,
    CASCADE,
    MAPPING,
    Command,
    Integer,
    Items,
    Kind,
    accounting_option,
    json_option,
    shape_options,
)
from fusemax.cli.output import INTERRUPTED, SUCCESS, Progress, print_json, print_wrote, width, write_text


class Axis(Kind):
    """An axis of a front; its name is checked later."""

    name = "axis"


@click.command("map", cls=Command, short_help="Find the best mappings of a cascade on an architecture.")
@click.option("--cascade", type=CASCADE, metavar="NAME|FILE", help="A cascade; the template's if not given.")
@click.option("--arch", type=ARCH, metavar="NAME|FILE", help="An architecture; the template's if not given.")
@shape_options
@click.option("--objective", default="latency", show_default=True, metavar="NAME", help="latency, energy, edp or dram.")
@click.option("--strategy", default="exhaustive", show_default=True, metavar="NAME", help="exhaustive or anneal.")
@click.option(
    "--template",
    type=MAPPING,
    metavar="NAME|FILE",
    help="Search the open parameters, cases and `?` of a mapping.",
)
@click.option("--fix", "fix", multiple=True, metavar="NAME=VALUE",
              help="Fix a length, a parameter, or the unit of an Einsum: p1=8, M0=512, SLN=array2d.")  # fmt: skip
@click.option(
    "--keep",
    multiple=True,
    metavar="TENSOR=MEMORY",
    help="Hold a tensor in a memory: QK=buffer; or not further in: QK=dram.",
)
@click.option("--top", type=Integer("number of mappings", 1), default=5, show_default=True, metavar="N",
              help="Number of mappings to report.")  # fmt: skip
@click.option(
    "--against",
    type=MAPPING,
    metavar="NAME|FILE",
    help="List the differences to another mapping of the same cascade.",
)
@click.option(
    "--simulate", "simulates", is_flag=True, help="Run the best mapping tile by tile too; tiles are even then."
)
@click.option(
    "--check", "checks", is_flag=True, help="Compute its numbers too, and compare them with the interpreter's."
)
@click.option("--limit", type=Integer("limit", 1), metavar="N", help="Maximum number of loop trees to cost.")
@click.option("--jobs", type=Integer("number of processes", 1), default=1, show_default=True, metavar="N",
              help="Search with several processes.")  # fmt: skip
@click.option("--seed", type=Integer("seed", 0), default=0, metavar="N", help="Seed of the random numbers of `anneal`.")
@accounting_option
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the best: a .mapping file.")
@click.option(
    "--csv", type=click.Path(path_type=Path), metavar="FILE", help="Write the costs of the best to a .csv file."
)
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw the best: a .png, .svg or .pdf file."
)
@json_option
def map_command(
    cascade: str | None, arch: str | None, shapes: dict[str, int], model: str | None, length: int | None, objective: str,
    strategy: str, template: str | None, fix: tuple[str, ...], keep: tuple[str, ...], top: int, against: str | None,
    simulates: bool, checks: bool, limit: int | None, jobs: int, seed: int, accounting: str, out: Path | None,
    csv: Path | None, plot: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Find mappings: the unit of each Einsum, the variables spread over its axes, loops, tiles and holds.

    Without a template the space has all mappings that the cascade and the machine allow. Ctrl-C ends a search with the
    best so far.
    """
    from fusemax.commands import mapped
    from fusemax.mapper.options import SearchOptions
    from fusemax.report.files import check_target, write_whole
    from fusemax.syntax.load import seen_from

    for path, suffixes in ((out, (".mapping",)), (csv, (".csv",)), (plot, PICTURES)):
        if path is not None:
            check_target(path, suffixes)
    with Progress() as progress:
        options = SearchOptions(
            objective,
            strategy,
            template,
            fix,
            keep,
            top,
            accounting,
            jobs,
            limit,
            seed,
            progress=progress.told(searching),
        )
        report = mapped(
            cascade, arch, shapes=shapes, options=options, model=model, length=length, against=against,
            simulates=simulates or checks, checks=checks, name=None if out is None else out.stem,
        )  # fmt: skip
    best = report.result.best
    if out is not None and best:
        write_whole(out, lambda path: write_text(path, str(seen_from(best[0].mapping, out.parent))))
    if csv is not None:
        write_whole(csv, lambda path: write_text(path, report.to_csv()))
    print_json(report.to_json()) if as_json else click.echo(report.text(width()))
    if plot is not None and report.shown is not None:
        from fusemax.report.arch_picture import draw_sheet, sheet_of

        sheet = sheet_of(report.shown)
        write_whole(plot, lambda path: draw_sheet(sheet, path))
    for written in (out if best else None, csv, plot if best else None):
        if written is not None:
            print_wrote(written)
    return INTERRUPTED if report.result.statistics.interrupted else int(report.wrong)


@click.command("pareto", cls=Command, short_help="Trade latency, energy, area and buffer size off.")
@click.option("--cascade", type=CASCADE, metavar="NAME|FILE", help="A cascade; the mapping's if not given.")
@click.option("--arch", type=ARCH, metavar="NAME|FILE", help="An architecture; the mapping's if not given.")
@click.option(
    "--mapping", type=MAPPING, metavar="NAME|FILE", help="With --dims: this mapping on machines of all sizes."
)
@click.option(
    "--template", type=MAPPING, metavar="NAME|FILE", help="Search the open parameters, cases and `?` of a mapping."
)
@shape_options
@click.option("--of", "of", type=Items(Axis()), multiple=True, callback=Items.joined, metavar="AXIS,...",
              help="Two or three of latency, energy, area, buffer.")  # fmt: skip
@click.option("--dims", type=Items(Integer("number of elements", 1)), multiple=True, callback=Items.joined, metavar="N,...",
              help="Elements along every axis of each machine, as in the architecture's table of sizes.")  # fmt: skip
@click.option(
    "--fix", "fix", multiple=True, metavar="NAME=VALUE", help="Fix a length, a parameter, or the unit of an Einsum."
)
@click.option("--keep", multiple=True, metavar="TENSOR=MEMORY", help="Hold a tensor in a memory, or not further in.")
@click.option("--limit", type=Integer("limit", 1), metavar="N", help="Maximum number of loop trees to cost.")
@accounting_option
@json_option
@click.option("--csv", type=click.Path(path_type=Path), metavar="FILE", help="Write the points to a .csv file.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw them: a .png, .svg or .pdf file.")
def pareto_command(
    cascade: str | None, arch: str | None, mapping: str | None, template: str | None, shapes: dict[str, int],
    model: str | None, length: int | None, of: list[str], dims: list[int], fix: tuple[str, ...], keep: tuple[str, ...],
    limit: int | None, accounting: str, as_json: bool, csv: Path | None, plot: Path | None,
) -> int:  # fmt: skip
    """Fronts: of the mappings of a cascade on a machine, or, with --dims, of machines of several sizes.

    Points that another one dominates are marked. Ctrl-C ends a search with the front so far.
    """
    from fusemax.commands import traded
    from fusemax.mapper.options import SearchOptions
    from fusemax.report.files import check_target, write_whole

    for path, suffixes in ((csv, (".csv",)), (plot, PICTURES)):
        if path is not None:
            check_target(path, suffixes)
    with Progress() as progress:
        options = SearchOptions(
            template=template, fix=fix, keep=keep, accounting=accounting, limit=limit, progress=progress.told(searching)
        )
        front = traded(
            cascade, arch, shapes=shapes, options=options, model=model, length=length, mapping=mapping, of=of, dims=dims
        )
    if csv is not None:
        write_whole(csv, lambda path: write_text(path, front.to_csv()))
    drawn = plot if front.points else None
    if drawn is not None:
        from fusemax.report.fronts import draw_front

        write_whole(drawn, lambda path: draw_front(front, path))
    if as_json:
        print_json(front.to_json())
    else:
        from fusemax.mapper.tables import front_text

        click.echo(front_text(front, width()))
    for written in (csv, drawn):
        if written is not None:
            print_wrote(written)
    return INTERRUPTED if front.interrupted else SUCCESS


def searching(trees: int, value: float) -> str:
    """The progress of a search."""
    return f"searching: {trees:,} trees, best {value:.6g}; Ctrl-C keeps it"


COMMANDS = (map_command, pareto_command)
