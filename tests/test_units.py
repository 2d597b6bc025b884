"""Quantities as people write them, and numbers as people read them."""

from __future__ import annotations

import sys
from fractions import Fraction

import pytest

from fusemax import FusemaxError
from fusemax.units import (
    bits_of,
    bytes_of,
    bytes_of_words,
    quantity,
    readable_bytes,
    readable_number,
    readable_seconds,
)
from tests.processes import ran


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("16 MiB", "byte", 16 * 2**20),
        ("16MiB", "byte", 16 * 2**20),
        (" 16 MiB ", "byte", 16 * 2**20),
        ("16 MB", "byte", 16e6),
        ("1.5 KiB", "byte", 1536),
        (".5 KiB", "byte", 512),
        ("1e3 B", "byte", 1000),
        ("+4 B", "byte", 4),
        ("32 bit", "byte", 4),
        ("4 byte", "bit", 32),
        ("400 GiB/s", "byte/s", 400 * 2**30),
        ("400 GiB / s", "byte/s", 400 * 2**30),
        ("400 GiB/second", "byte/s", 400 * 2**30),
        ("8 Gbit/s", "byte/s", 1e9),
        ("8 Gb/s", "byte/s", 1e9),
        ("4 bytes", "bit", 32),
        ("16 mebibytes", "byte", 2**24),
        ("940 MHz", "Hz", 940e6),
        ("1 GHz", "Hz", 1e9),
        ("2.5 pJ", "J", 2.5e-12),
        ("250 fJ", "J", 250e-15),
        ("84201374.5 um^2", "m^2", 84201374.5e-12),
        ("1 mm^2", "m^2", 1e-6),
    ],
)
def test_quantities(text: str, unit: str, value: float) -> None:
    """Decimal and binary prefixes differ; blanks do not matter; bits and bytes convert."""
    assert quantity(text, unit, "it") == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("16", "the buffer '16' is not a number with a unit"),
        ("", "the buffer '' is not a number with a unit"),
        ("MiB", "the buffer 'MiB' is not a number with a unit"),
        ("sixteen MiB", "the buffer 'sixteen MiB' is not a number with a unit"),
        ("16 MiB MiB", "the buffer '16 MiB MiB' is not a number with a unit"),
        ("16 MiB 4", "the buffer '16 MiB 4' is not a number with a unit"),
        ("1 2 MiB", "the buffer '1 2 MiB' is not a number with a unit"),
        ("0x10 B", "the buffer '0x10 B' is not a number with a unit"),
        ("nan B", "the buffer 'nan B' is not a number with a unit"),
        ("16 XiB", "the buffer '16 XiB' has an unknown unit"),
        ("16 KB", "the buffer '16 KB' has an unknown unit"),
        ("16 MHz", "the buffer '16 MHz' has the wrong unit"),
        ("16 MiB/s", "the buffer '16 MiB/s' has the wrong unit"),
        ("16 B^2", "the buffer '16 B^2' has the wrong unit"),
        ("16 J", "the buffer '16 J' has the wrong unit"),
        ("16 radian", "the buffer '16 radian' has an unknown unit"),
        ("16 %", "the buffer '16 %' is not a number with a unit"),
        ("0 B", "the buffer '0 B' is not positive"),
        ("-16 MiB", "the buffer '-16 MiB' is not positive"),
        ("1e999 B", "the buffer '1e999 B' is too large"),
        ("1e400 GiB", "the buffer '1e400 GiB' is too large"),
        ("-1e400 B", "the buffer '-1e400 B' is not positive"),
        ("x" * 100, f"the buffer '{'x' * 60}' is not a number with a unit"),
        ("1 __import__('os')", "the buffer '1 __import__('os')' is not a number with a unit"),
    ],
)
def test_what_is_no_quantity_is_refused(text: str, message: str) -> None:
    """The error says what is wrong and how to write it."""
    with pytest.raises(FusemaxError) as caught:
        quantity(text, "byte", "the buffer")
    assert str(caught.value) == f"{message}\nhint: write it like `16 MiB`"


@pytest.mark.parametrize(
    ("unit", "example"),
    [("bit", "16 bit"), ("byte/s", "400 GiB/s"), ("Hz", "940 MHz"), ("J", "2.5 pJ"), ("m^2", "49.3 um^2")],
)
def test_examples_are_quantities_of_their_kind(unit: str, example: str) -> None:
    """The spellings in hints can be typed."""
    with pytest.raises(FusemaxError) as caught:
        quantity("?", unit, "it")
    assert str(caught.value).endswith(f"write it like `{example}`")
    assert quantity(example, unit, "it") > 0


@pytest.mark.parametrize(("text", "unit"), [("940 MHz", "byte/s"), ("400 GiB/s", "Hz"), ("8 bit", "Hz"), ("1 s", "J")])
def test_kinds_of_units_do_not_mix(text: str, unit: str) -> None:
    """A bit is not a number: a clock is no bandwidth, and a bandwidth no clock."""
    with pytest.raises(FusemaxError, match="has the wrong unit"):
        quantity(text, unit, "it")


@pytest.mark.parametrize("text", ["1 B * 9^9", "9 B^9^9^9", "1 byte * 9 ^ 9 ^ 9", "1 B^99999999999"])
def test_a_unit_is_no_calculation(text: str) -> None:
    """Towers of powers are refused at once and not computed."""
    with pytest.raises(FusemaxError, match="is not a number with a unit"):
        quantity(text, "byte", "it")


def test_whole_numbers_of_bytes_and_bits() -> None:
    """A size is a whole number; what is not is refused."""
    assert (bytes_of("16 bit"), bits_of("2 B"), bits_of("4 bit")) == (2, 16, 4)
    with pytest.raises(FusemaxError) as caught:
        bytes_of("4 bit", "the buffer")
    assert str(caught.value) == (
        "the buffer '4 bit' is not a whole number of bytes\nhint: give a whole number of bytes"
    )
    with pytest.raises(FusemaxError) as caught:
        bits_of("0.5 bit")
    assert str(caught.value) == ("the word '0.5 bit' is not a whole number of bits\nhint: give a whole number of bits")


@pytest.mark.parametrize(
    ("words", "bits", "count"), [(0, 16, 0), (1, 1, 1), (8, 1, 1), (9, 1, 2), (3, 16, 6), (Fraction(1, 3), 8, 1)]
)
def test_bytes_of_words(words: Fraction | int, bits: int, count: int) -> None:
    """Rounded up to whole bytes."""
    assert bytes_of_words(words, bits) == count


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (2**20, "1 MiB"),
        (400 * 2**30, "400 GiB"),
        (2**40, "1 TiB"),
        (2**50, "1 PiB"),
        (1040, "1.016 KiB"),
    ],
)
def test_readable_bytes(count: float, text: str) -> None:
    """Four digits, and the binary prefix that leaves a number below 1024."""
    assert readable_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (65536, "65,536"),
        (9_999_999, "9,999,999"),
        (10_000_000, "1e+07"),
        (103079215104, "1.0308e+11"),
        (2.5, "2.5"),
    ],
)
def test_readable_numbers(count: float, text: str) -> None:
    """Exact up to seven digits."""
    assert readable_number(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (90, "90 s"),
        (1, "1 s"),
        (0.5, "500 ms"),
        (0.0178482, "17.85 ms"),
        (7.8125e-05, "78.12 us"),
        (2.5e-9, "2.5 ns"),
    ],
)
def test_readable_seconds(seconds: float, text: str) -> None:
    """Four digits, and the prefix that leaves a number of at least one."""
    assert readable_seconds(seconds) == text


def test_units_load_their_library_when_one_is_read() -> None:
    """Importing the module, and printing sizes, does not load pint."""
    program = "import sys; from fusemax.units import readable_bytes; readable_bytes(5); print('pint' in sys.modules)"
    assert ran(sys.executable, "-c", program).stdout == "False\n"
