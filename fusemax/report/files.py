"""Files written whole or not at all: under a temporary name first, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from fusemax.errors import FusemaxError


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path` and rename it; on any failure nothing is left behind.

    Raises `FusemaxError` if the folder is missing or may not be written.
    """
    if path.is_dir():
        raise FusemaxError(f"'{path}' is a folder", "name a file in it")
    try:
        handle, temporary = tempfile.mkstemp(prefix=".fusemax-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FusemaxError(f"'{path}' cannot be written: {reason}", "name a file in a folder that exists") from None
    os.close(handle)
    try:
        write(Path(temporary))
        mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            reason = (error.strerror or str(error)).lower()
            raise FusemaxError(f"'{path}' cannot be written: {reason}", "check the folder and the disk") from None
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
