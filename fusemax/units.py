"""Quantities in text: `16 MiB`, `16 bit`, 64K. Decimal and binary prefixes differ, and quantities have a unit."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from math import ceil
from typing import TYPE_CHECKING

from fusemax.errors import FusemaxError

if TYPE_CHECKING:
    import pint

LONGEST_QUANTITY = 60
_UNIT = r"[A-Za-zµ]+(\^-?\d)?"
_QUANTITY = re.compile(rf"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*{_UNIT}(\s*[/*]\s*{_UNIT})*\s*")


_EXAMPLES = {
    "byte": "16 MiB",
    "bit": "16 bit",
    "byte/s": "400 GiB/s",
    "Hz": "940 MHz",
    "J": "2.5 pJ",
    "m^2": "49.3 um^2",
}
_DEFINITIONS = """
    femto- = 1e-15 = f-
    pico- = 1e-12 = p-
    nano- = 1e-9 = n-
    micro- = 1e-6 = u- = µ-
    milli- = 1e-3 = m-
    kilo- = 1e3 = k-
    mega- = 1e6 = M-
    giga- = 1e9 = G-
    tera- = 1e12 = T-
    kibi- = 1024 = Ki-
    mebi- = 1048576 = Mi-
    gibi- = 1073741824 = Gi-
    tebi- = 1099511627776 = Ti-
    meter = [length] = m
    second = [time] = s
    joule = [energy] = J
    bit = [information] = b
    byte = 8 * bit = B
    hertz = 1 / second = Hz
"""
"""The units of machines. A bit is a dimension: in pint's own definitions it is a number, and 940 MHz a bandwidth."""


@cache
def _registry() -> pint.UnitRegistry[float]:
    import pint

    return pint.UnitRegistry(_DEFINITIONS.splitlines(), cache_folder=None)


def quantity(text: str, unit: str, what: str) -> float:
    """The magnitude of a quantity in a base unit: byte, bit, byte/s, Hz, J or m^2.

    Raises `FusemaxError` if the text is no quantity, has no unit, or one of another kind.

    >>> quantity("400 GiB/s", "byte/s", "the bandwidth")
    429496729600.0
    >>> quantity("16MiB", "byte", "the buffer")
    16777216.0
    """
    import pint

    example = _EXAMPLES[unit]
    if len(text) > LONGEST_QUANTITY or not _QUANTITY.fullmatch(text):
        raise FusemaxError(
            f"{what} '{text[:LONGEST_QUANTITY]}' is not a number with a unit", f"write it like `{example}`"
        )
    try:
        value = float(_registry().Quantity(text).to(unit).magnitude)
    except pint.DimensionalityError:
        raise FusemaxError(f"{what} '{text}' has the wrong unit", f"write it like `{example}`") from None
    except (pint.PintError, AttributeError, ValueError, TypeError, OverflowError, ZeroDivisionError):
        raise FusemaxError(f"{what} '{text}' has an unknown unit", f"write it like `{example}`") from None
    if value == float("inf"):
        raise FusemaxError(f"{what} '{text}' is too large", f"write it like `{example}`")
    if not value > 0:
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


def bytes_of_words(words: Fraction | int, word_bits: int) -> int:
    """The bytes that hold so many words, rounded up.

    >>> bytes_of_words(3, 16), bytes_of_words(3, 4)
    (6, 2)
    """
    return ceil(Fraction(words) * word_bits / 8)


def integer_of(text: str, most_digits: int = 18, signed: bool = False) -> int | None:
    """An integer, with K, M or G for powers of 1024; None for other texts, and for more digits.

    >>> integer_of("64K"), integer_of(" 1024 "), integer_of("all"), integer_of("-1m", signed=True)
    (65536, 1024, None, -1048576)
    """
    found = re.fullmatch(rf"({'-?' if signed else ''}\d{{1,{most_digits}}})([KMG]?)", text.strip(), re.IGNORECASE)
    return int(found[1]) * power_of_1024(found[2]) if found else None


def power_of_1024(suffix: str) -> int:
    """The factor for which K, M or G stands behind a number; 1 for nothing.

    >>> power_of_1024("m"), power_of_1024("")
    (1048576, 1)
    """
    return 1 << 10 * ("", "K", "M", "G").index(suffix.upper())


def readable_bytes(count: float) -> str:
    """Bytes with a binary prefix, to four digits.

    >>> readable_bytes(16777216), readable_bytes(1000)
    ('16 MiB', '1000 B')
    """
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} PiB"


def readable_number(count: float) -> str:
    """A count: exact up to seven digits, with a power of ten beyond.

    >>> readable_number(65536), readable_number(103079215104)
    ('65,536', '1.0308e+11')
    """
    return f"{count:,.0f}" if count == int(count) and abs(count) < 10**7 else f"{count:.5g}"


def readable_seconds(seconds: float) -> str:
    """A time with a unit, to four digits.

    >>> readable_seconds(0.0178482), readable_seconds(2.5e-9), readable_seconds(90.0)
    ('17.85 ms', '2.5 ns', '90 s')
    """
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 0.9999 or seconds == 0:
            return f"{seconds * factor:.4g} {unit}"
    return f"{seconds * 1e9:.4g} ns"


def readable_length(length: int) -> str:
    """A sequence length as papers write it.

    >>> readable_length(65536), readable_length(1000), readable_length(1048576)
    ('64K', '1000', '1M')
    """
    for factor, unit in ((2**20, "M"), (2**10, "K")):
        if length % factor == 0:
            return f"{length // factor}{unit}"
    return str(length)
