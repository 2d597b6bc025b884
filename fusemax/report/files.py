"""Files written whole or not at all: under a temporary name first, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fusemax.errors import FusemaxError


def check_target(path: Path, suffixes: Sequence[str]) -> None:
    """Refuse a file that could not be written, before work is done for it. Raises `FusemaxError`."""
    if path.is_dir():
        raise FusemaxError(f"'{path}' is a folder", f"name a file in it, such as {path / 'out'}{suffixes[0]}")
    if path.suffix.lower() not in suffixes:
        raise FusemaxError(
            f"'{path}' does not end in {' or '.join(suffixes)}", f"name it {path.with_suffix(suffixes[0])}"
        )
    if not path.parent.is_dir():
        raise FusemaxError(
            f"'{path}' cannot be written: no folder '{path.parent}'", "name a file in a folder that exists"
        )


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path` and rename it; on any failure nothing is left behind.

    Raises `FusemaxError` if the folder is missing or may not be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(prefix=".fusemax-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise _refused(path, error) from None
    os.close(handle)
    try:
        write(Path(temporary))
        mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _refused(path, error) from None
        raise


def _refused(path: Path, error: OSError) -> FusemaxError:
    reason = (error.strerror or str(error)).lower()
    return FusemaxError(f"'{path}' cannot be written: {reason}", "check the folder and the disk")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
