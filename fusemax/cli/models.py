"""The commands about mappings and machines: `evaluate`, `compare`, `reproduce`, `show`."""

from __future__ import annotations

from pathlib import Path

import click

from fusemax import resources
from fusemax.cli.options import (
    MAPPING,
    WORKLOAD,
    Command,
    Integer,
    Items,
    Shown,
    accounting_option,
    arch_option,
    csv_option,
    first,
    json_option,
    plot_option,
    set_option,
    shape_option,
    shape_options,
)
from fusemax.cli.output import Progress, check_files, print_json, print_result, print_text, print_wrote, write_files
from fusemax.errors import listed
from fusemax.syntax.load import SIZES, STUDIES


@click.command("evaluate", cls=Command, short_help="Cost one mapping: time, energy, traffic, utilization.")
@click.option(
    "--mapping", "name", type=MAPPING, required=True, metavar="NAME|FILE", help=f"A mapping, such as {first(MAPPING)}."
)
@shape_options
@arch_option
@set_option
@accounting_option
@json_option
def evaluate_command(
    name: str, shapes: dict[str, int], model: str | None, length: int | None, arch: str | None, settings: dict[str, str],
    accounting: str, as_json: bool,
) -> None:  # fmt: skip
    """Cost one mapping: cycles, seconds, joules, bytes at every level, and utilization, by unit and by Einsum."""
    from fusemax.commands import evaluated

    found = evaluated(
        name, shapes=shapes, model=model, length=length, arch=arch, settings=settings, accounting=accounting
    )
    print_result(found, as_json)


@click.command("compare", cls=Command, short_help="Compare mappings over models and lengths.")
@click.argument("names", metavar="NAME|FILE...", type=MAPPING, nargs=-1, required=True)
@click.option("--model", "models", type=Items(WORKLOAD), multiple=True, callback=Items.joined, metavar="NAME,...",
              help=f"Workloads, separated by commas, such as {first(WORKLOAD)}.")  # fmt: skip
@click.option("--seq", "lengths", type=Items(Integer("sequence length", 1)), multiple=True, callback=Items.joined,
              metavar="N,...", help="Sequence lengths of the workloads, such as 1K,16K.")  # fmt: skip
@shape_option
@click.option("--baseline", metavar="NAME", help="Mapping to which ratios refer; the first by default.")
@arch_option
@accounting_option
@json_option
@click.option("--end-to-end", is_flag=True, help="Cost whole encoder layers: attention and the model's linear layers.")
@click.option(
    "--search", is_flag=True, help="With --end-to-end: add the best mapping that a search finds for each cascade."
)
@csv_option
@plot_option
def compare_command(
    names: tuple[str, ...], models: list[str], lengths: list[int], shapes: dict[str, int], baseline: str | None,
    arch: str | None, accounting: str, end_to_end: bool, search: bool, as_json: bool, csv: Path | None, plot: Path | None,
) -> None:  # fmt: skip
    """Cost several mappings at every model and length: latency, energy, traffic, utilization, and the limiting resource."""
    from fusemax.commands import compared

    check_files(csv, plot)
    with Progress() as progress:
        comparison = compared(
            names, models=models, lengths=lengths, shapes=shapes, baseline=baseline, arch=arch, accounting=accounting,
            end_to_end=end_to_end, search=search, progress=progress.told(lambda now: f"searching: {now}"),
        )  # fmt: skip
    write_files(comparison, csv, plot)
    print_result(comparison, as_json)
    print_wrote(csv, plot)


STUDY_NAMES = (*resources.names(STUDIES, ".yaml"), *resources.names(SIZES, ".yaml"))


@click.command("reproduce", short_help="Evaluate published studies again.", help=f"""
    Evaluate published studies again: their figures, and the differences to the published values.

    STUDY is {listed(STUDY_NAMES, word="or").replace("'", "")}; all of them by default. Figures have the numbers of the paper;
    `mappings/published/` holds the values and their sources.
    """)  # fmt: skip
@click.argument("names", metavar="STUDY...", nargs=-1)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Write pictures, tables and values into a folder."
)
@json_option
def reproduce_command(names: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Evaluate published studies again, and compare the results with the published values."""
    from fusemax.commands import reproduced
    from fusemax.report.reproduce_files import check_folder, write_folder

    if out is not None:
        check_folder(out)
    found = reproduced(names)
    written = () if out is None else write_folder(found, out)
    if as_json:
        print_json({"studies": [each.to_json() for each in found]})
    else:
        print_text(*found)
    print_wrote(*written)


@click.command("show", cls=Command, short_help="Show an architecture or a mapping as a tree.")
@click.argument("name", metavar="NAME|FILE", type=Shown())
@shape_options
@arch_option
@set_option
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Draw a picture: a .png, .svg or .pdf file."
)
@json_option
def show_command(
    name: str, shapes: dict[str, int], model: str | None, length: int | None, arch: str | None, settings: dict[str, str],
    out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Show an architecture, or a mapping: its loops, units and storage, with extents for given sizes."""
    from fusemax.commands import shown

    check_files(None, out)
    found = shown(name, shapes=shapes, model=model, length=length, arch=arch, settings=settings)
    write_files(found, None, out)
    print_result(found, as_json)
    print_wrote(out)


COMMANDS = (evaluate_command, compare_command, reproduce_command, show_command)
