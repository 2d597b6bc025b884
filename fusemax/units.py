"""Sizes as people write them: `16 MiB`, `16 bit`. Decimal and binary prefixes differ, and a unit must be given."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from fusemax.errors import FusemaxError

if TYPE_CHECKING:
    import pint

LONGEST = 60
_QUANTITY = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*[A-Za-zµ%][\w/ *^µ-]*")


@cache
def _registry() -> pint.UnitRegistry[float]:
    import pint

    return pint.UnitRegistry(cache_folder=None)


def quantity(text: str, unit: str, what: str) -> float:
    """The magnitude of a quantity in a base unit.

    Raises `FusemaxError` if the text is no quantity, has no unit, or one of another kind.

    >>> quantity("400 GiB/s", "byte/s", "the bandwidth")
    429496729600.0
    >>> quantity("16MiB", "byte", "the buffer")
    16777216.0
    """
    import pint

    example = {"byte": "16 MiB", "bit": "16 bit", "byte/s": "400 GiB/s", "Hz": "940 MHz", "J": "2.5 pJ"}.get(unit, unit)
    if len(text) > LONGEST or not _QUANTITY.fullmatch(text):
        raise FusemaxError(f"{what} '{text[:LONGEST]}' is not a number with a unit", f"write it like `{example}`")
    try:
        value = float(_registry().Quantity(text).to(unit).magnitude)
    except pint.DimensionalityError:
        raise FusemaxError(f"{what} '{text}' has the wrong unit", f"write it like `{example}`") from None
    except (pint.PintError, AttributeError, ValueError, TypeError, OverflowError, ZeroDivisionError):
        raise FusemaxError(f"{what} '{text}' has an unknown unit", f"write it like `{example}`") from None
    if not 0 < value < float("inf"):
        raise FusemaxError(f"{what} '{text}' is not positive", f"write it like `{example}`")
    return value


def bytes_of(text: str, what: str = "the size") -> int:
    """A number of bytes. Raises `FusemaxError` if it is not a whole one.

    >>> bytes_of("16 MiB"), bytes_of("16bit")
    (16777216, 2)
    """
    return _whole(quantity(text, "byte", what), text, what, "bytes")


def bits_of(text: str, what: str = "the word") -> int:
    """A number of bits. Raises `FusemaxError` if it is not a whole one.

    >>> bits_of("16 bit"), bits_of("4 byte")
    (16, 32)
    """
    return _whole(quantity(text, "bit", what), text, what, "bits")


def _whole(value: float, text: str, what: str, unit: str) -> int:
    if value != int(value):
        raise FusemaxError(f"{what} '{text}' is not a whole number of {unit}", f"give a whole number of {unit}")
    return int(value)


def readable_bytes(count: float) -> str:
    """Bytes as a person reads them.

    >>> readable_bytes(16777216), readable_bytes(1000)
    ('16 MiB', '1000 B')
    """
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.4g} {unit}"
        count /= 1024
    raise AssertionError


def readable_number(count: float) -> str:
    """A count as a person reads it: exact up to seven digits, with a power of ten beyond.

    >>> readable_number(65536), readable_number(103079215104)
    ('65,536', '1.0308e+11')
    """
    return f"{count:,.0f}" if count == int(count) and abs(count) < 10**7 else f"{count:.5g}"
