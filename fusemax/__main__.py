"""`python -m fusemax` is `fusemax`."""

from fusemax.cli import main

if __name__ == "__main__":
    main()
