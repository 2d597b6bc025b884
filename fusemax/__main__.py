"""`python -m fusemax` is `fusemax`."""

import sys


def main() -> None:
    """Load the command line and run it; an interrupt while it loads ends as quietly as a later one."""
    try:
        from fusemax.cli import main as command
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
