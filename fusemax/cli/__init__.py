"""The command line: the only package that prints, reads the arguments, or returns an exit status."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from fusemax import __version__
from fusemax.cli import cascades, models, searches, simulations
from fusemax.cli.output import FAILURE, INTERRUPTED, SUCCESS, complain, noting
from fusemax.errors import FusemaxError, did_you_mean


def main() -> None:
    """Run the command line and exit: 0; 1 after a user's mistake or wrong numbers; 128 + n after signal n."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process
            setattr(sys, name, Path(os.devnull).open("r+"))  # noqa: SIM115
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(run(sys.argv[1:]))


def _terminated(number: int, frame: FrameType | None) -> None:
    """End as after an error, so that no half-written file stays."""
    sys.exit(128 + number)


def run(arguments: list[str]) -> int:
    """Run the command line with arguments and return the exit status."""
    try:
        with noting():
            status = group.main(arguments or ["--help"], prog_name="fusemax", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else SUCCESS
    except FusemaxError as error:
        complain(error)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        complain(_usage(error, arguments))
    except OSError as error:  # standard output is gone or full; all other files are opened elsewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # then nothing reads the message either
            complain(FusemaxError(f"the output cannot be written: {(error.strerror or str(error)).lower()}"))
    return FAILURE


def _usage(error: click.ClickException, arguments: list[str]) -> FusemaxError:
    """A mistake in the arguments as an error: one line, and the nearest name."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = next((f"fusemax {word}" for word in arguments if word in group.commands), "fusemax")
    message, hint = " ".join(error.format_message().split()).rstrip("."), f"`{command} --help` shows how it is used"
    if isinstance(error, click.NoSuchOption):
        message = f"no such option '{error.option_name}'"
        hint = did_you_mean(error.option_name, _options(context)) or hint
    elif unknown := re.match("No such command '(.*?)'", message):
        message, hint = unknown[0], did_you_mean(unknown[1], group.commands) or hint
    return FusemaxError(message[:1].lower() + message[1:], hint)


def _options(context: click.Context | None) -> list[str]:
    return [option for parameter in context.command.get_params(context) for option in parameter.opts] if context else []


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fusemax")
def group() -> None:
    """Einsum cascades: check and run them, derive the passes that every implementation needs, and cost their mappings.

    NAME is a shipped file (`fusemax list` shows them), FILE a file of your own, or `-` for standard input.
    """


for command in (*cascades.COMMANDS, *models.COMMANDS, *simulations.COMMANDS, *searches.COMMANDS):
    group.add_command(command)
