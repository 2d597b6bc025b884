"""The command that runs mappings: `simulate`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from fusemax.cli.options import (
    MAPPING,
    Command,
    Kind,
    arch_option,
    first,
    json_option,
    plot_option,
    set_option,
    shape_options,
)
from fusemax.cli.output import FAILURE, SUCCESS, Progress, check_files, print_result, print_wrote
from fusemax.errors import FusemaxError
from fusemax.units import power_of_1024


class Window(Kind):
    """`0:4000`: from one cycle to another; without the second, to the end."""

    name = "cycles"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """The two cycles."""
        begin, colon, end = str(value).partition(":")
        first, last = _cycles(begin, 0.0), _cycles(end, float("inf"))
        if not colon or str(value).strip() == ":" or first is None or last is None or first >= last:
            hint = "give two cycles, the smaller first: 0:4000, or `4000:` to the end"
            raise FusemaxError(f"'{str(value)[:60]}' is not a window", hint)
        return first, last


def _cycles(text: str, default: float) -> float | None:
    """A number of cycles, which may end in K, M or G for powers of 1024; None for other texts."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?(?:e\d{1,3})?|\.\d+)([KMG]?)", text.strip(), re.IGNORECASE)
    if found is None:
        return None if text.strip() else default
    number = float(found[1]) * power_of_1024(found[2])
    return number if number < float("inf") else None


@click.command("simulate", cls=Command, short_help="Simulate a mapping tile by tile: overlap, stalls, occupancy.")
@click.option(
    "--mapping", "name", type=MAPPING, required=True, metavar="NAME|FILE", help=f"A mapping, such as {first(MAPPING)}."
)
@shape_options
@arch_option
@set_option
@click.option("--window", type=Window(), metavar="A:B", help="Cycles to show; by default the first 4000.")
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the tasks for Perfetto, all or those of the window: a .json file.",
)
@plot_option
@click.option(
    "--check", "checks", is_flag=True, help="Compute the numbers too, and compare them with the interpreter's."
)
@json_option
def simulate_command(
    name: str, shapes: dict[str, int], model: str | None, length: int | None, arch: str | None, settings: dict[str, str],
    window: tuple[float, float] | None, trace: Path | None, plot: Path | None, checks: bool, as_json: bool,
) -> int:  # fmt: skip
    """Simulate a mapping tile by tile: busy cycles, stalls with their reasons, and the ratio to the closed form.

    Repeating parts are fast-forwarded, so that long sequences cost no more than short ones.
    """
    from fusemax.commands import simulated
    from fusemax.report.files import check_target

    if trace is not None:
        check_target(trace, (".json",))
    check_files(None, plot)
    with Progress() as progress:
        found = simulated(
            name, shapes=shapes, model=model, length=length, arch=arch, settings=settings, window=window, trace=trace,
            plot=plot, checks=checks, progress=progress.told(lambda share: f"simulating: {share:.0%}"),
        )  # fmt: skip
    print_result(found, as_json)
    print_wrote(trace, plot)
    return FAILURE if found.wrong else SUCCESS


COMMANDS = (simulate_command,)
