"""The commands about mappings and machines: `evaluate`, `compare`, `reproduce`, `show`."""

from __future__ import annotations

from pathlib import Path

import click

from fusemax.cli.options import (
    MAPPING,
    WORKLOAD,
    Command,
    Integer,
    Items,
    Shown,
    accounting_option,
    arch_option,
    json_option,
    set_option,
    shape_option,
    shape_options,
)
from fusemax.cli.output import Progress, print_json, print_wrote, width, write_text

PICTURES = (".png", ".svg", ".pdf")


@click.command("evaluate", cls=Command, short_help="Cost one mapping: time, energy, traffic, utilization.")
@click.option("--mapping", "name", type=MAPPING, required=True, metavar="NAME|FILE", help="A mapping, such as flat.")
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

    report = evaluated(
        name, shapes=shapes, model=model, length=length, arch=arch, settings=settings, accounting=accounting
    )
    print_json(report.to_json()) if as_json else click.echo(report.text(width()))


@click.command("compare", cls=Command, short_help="Compare mappings over models and lengths.")
@click.argument("names", metavar="NAME|FILE...", type=MAPPING, nargs=-1, required=True)
@click.option("--model", "models", type=Items(WORKLOAD), multiple=True, callback=Items.joined, metavar="NAME,...",
              help="Workloads, such as bert,xlm.")  # fmt: skip
@click.option("--seq", "lengths", type=Items(Integer("sequence length", 1)), multiple=True, callback=Items.joined,
              metavar="N,...", help="Sequence lengths of the workloads, such as 1K,16K.")  # fmt: skip
@shape_option
@click.option("--baseline", metavar="NAME", help="What ratios are to; the first mapping if not given.")
@arch_option
@accounting_option
@json_option
@click.option("--end-to-end", is_flag=True, help="Whole encoder layers: attention, and the model's linear layers.")
@click.option(
    "--search", is_flag=True, help="With --end-to-end: also the best that the mapper finds beside each mapping."
)
@click.option("--csv", type=click.Path(path_type=Path), metavar="FILE", help="Write the rows to a .csv file.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw them: a .png, .svg or .pdf file.")
def compare_command(
    names: tuple[str, ...], models: list[str], lengths: list[int], shapes: dict[str, int], baseline: str | None,
    arch: str | None, accounting: str, end_to_end: bool, search: bool, as_json: bool, csv: Path | None, plot: Path | None,
) -> None:  # fmt: skip
    """Cost several mappings at every model and length: latency, energy, traffic, utilization, and what limits them."""
    from fusemax.commands import compared
    from fusemax.report.files import check_target, write_whole
    from fusemax.study.tables import comparison_text

    if csv is not None:
        check_target(csv, (".csv",))
    if plot is not None:
        check_target(plot, PICTURES)
    with Progress() as progress:
        comparison = compared(
            names, models=models, lengths=lengths, shapes=shapes, baseline=baseline, arch=arch, accounting=accounting,
            end_to_end=end_to_end, search=search, progress=progress.told(lambda now: f"searching: {now}"),
        )  # fmt: skip
    if csv is not None:
        write_whole(csv, lambda path: write_text(path, comparison.to_csv()))
    if plot is not None:
        from fusemax.report.plots import comparison_charts, draw_charts

        write_whole(plot, lambda path: draw_charts(comparison_charts(comparison), path))
    print_json(comparison.to_json()) if as_json else click.echo(comparison_text(comparison, width()))
    for written in (csv, plot):
        if written is not None:
            print_wrote(written)


@click.command("reproduce", short_help="Evaluate published studies again, beside their values.")
@click.argument("names", metavar="STUDY...", nargs=-1)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Write pictures, tables and values there."
)
@json_option
def reproduce_command(names: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Reproduce published figures of attention, of encoder layers and of areas, with the differences to published values.

    STUDY is attention, encoder or chip-area; all of them if none is named. Figures are numbered as in the paper;
    `mappings/published/` has its values and where they are from.
    """
    from fusemax.commands import reproduced
    from fusemax.report.reproduce_files import check_folder, write_folder

    if out is not None:
        check_folder(out)
    found = reproduced(names)
    written = () if out is None else write_folder(found, out)
    if as_json:
        print_json({"studies": [each.to_json() for each in found]})
    else:
        click.echo("\n\n".join(each.text(width()) for each in found))
    for path in written:
        print_wrote(path)


@click.command("show", cls=Command, short_help="Show an architecture or a mapping as a tree.")
@click.argument("name", metavar="NAME|FILE", type=Shown())
@shape_options
@arch_option
@set_option
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Draw it too: a .svg, .png or .pdf file.")
def show_command(
    name: str, shapes: dict[str, int], model: str | None, length: int | None, arch: str | None, settings: dict[str, str],
    out: Path | None,
) -> None:  # fmt: skip
    """Show an architecture, or a mapping: its loops, who runs where, what is held where, with extents for given sizes."""
    from fusemax.commands import shown
    from fusemax.report.files import check_target, write_whole
    from fusemax.report.mapping_tree import tree_of

    if out is not None:
        check_target(out, PICTURES)
    found = shown(name, shapes=shapes, model=model, length=length, arch=arch, settings=settings)
    if out is not None:
        from fusemax.report.arch_picture import draw_sheet, sheet_of

        sheet = sheet_of(found)
        write_whole(out, lambda path: draw_sheet(sheet, path))
    click.echo(str(tree_of(found)))
    if out is not None:
        print_wrote(out)


COMMANDS = (evaluate_command, compare_command, reproduce_command, show_command)
