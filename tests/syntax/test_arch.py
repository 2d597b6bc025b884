"""Architecture files: what they say, and every mistake with its whole message."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusemax import FusemaxError
from fusemax.ir.arch import Memory, Operation, Registers, Unit
from fusemax.resources import names
from fusemax.syntax.load import load_arch
from fusemax.syntax.yaml.arch import parse_arch
from tests.conftest import Golden
from tests.refusals import rendered

MACHINE = """\
name: m
source: nowhere
clock: 1 GHz
word: 16 bit
memories:
  dram: {bandwidth: 1 GiB/s, access: 64 bit, energy: {read: 2 pJ, write: 3 pJ}}
  buffer: {size: 4 KiB, access: 64 bit, energy: {read: 1 pJ, write: 1 pJ}, area: 2 mm^2}
units:
  u:
    axes: {x: 4, y: 2}
    edges: {north: x}
    registers: {entries: 10, energy: {read: 1 fJ, write: 2 fJ}}
    ops: {mac: {slots: 1, energy: 1 pJ, area: 1 um^2}, exp: {is: 6 mac}}
"""
KEYS = "its keys are name, source, clock, word, memories, units, scaling"
KINDS = (
    "there are abs, add, and, cmp, div, exp, floor, gelu, log, mac, max, min, neg, or, pow, relu, rsqrt, select, "
    "sigmoid, silu, sqrt, take, tanh"
)


def test_a_machine_in_base_units() -> None:
    """Hertz, bits, bytes, bytes per second, joules, square metres; memories from the outermost."""
    arch = parse_arch(MACHINE, "m.yaml")
    assert (arch.name, arch.source, arch.clock_hz, arch.word_bits) == ("m", "nowhere", 1e9, 16)
    assert arch.memories == (
        Memory("dram", None, 2.0**30, 64, 2e-12, 3e-12),
        Memory("buffer", 4096, None, 64, 1e-12, 1e-12, 2e-6),
    )
    assert arch.outermost is arch.memories[0]
    ops = (Operation("mac", 1, 1e-12, 1e-12), Operation("exp", times=6, same_as="mac"))
    registers = Registers(10, 1e-15, 2e-15)
    assert arch.units == (Unit("u", (("x", 4), ("y", 2)), (("north", "x"),), registers, ops),)


def test_a_queue_with_a_limit() -> None:
    """A unit may say how many words of an operand wait for each element at most."""
    text = MACHINE.replace("    edges: {north: x}\n", "    edges: {north: x}\n    queue: 32\n")
    assert (parse_arch(text).units[0].queue_words, parse_arch(MACHINE).units[0].queue_words) == (32, None)


def test_slots_of_operations() -> None:
    """An operation takes its slots, or those of what it consists of; products are done as mac, differences as add."""
    unit = parse_arch(MACHINE).units[0]
    assert (unit.elements, unit.slots("mac"), unit.slots("mul"), unit.slots("exp")) == (8, 1, 1, 6)
    assert (unit.slots("add"), unit.slots("sub"), unit.slots("div")) == (None, None, None)


@pytest.mark.parametrize("name", names("arch", ".yaml"))
def test_shipped_machines_load(name: str) -> None:
    """Each shipped file is complete, goes by its name and says where its numbers are from."""
    arch = load_arch(name)
    assert arch.name == name
    assert arch.source
    assert arch.outermost.bandwidth_bytes_s is not None
    assert arch.units


def test_a_machine_of_ones_own(tmp_path: Path) -> None:
    """A path is read as well as a name; errors call the file as its user does."""
    path = tmp_path / "mine.yaml"
    path.write_text(MACHINE, encoding="utf-8")
    assert load_arch(path).name == "m"
    path.write_text(MACHINE.replace("1 GHz", "fast"), encoding="utf-8")
    with pytest.raises(FusemaxError) as caught:
        load_arch(str(path))
    assert str(caught.value).startswith(f"{path}:3:8: `clock` 'fast' is not a number with a unit")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("clock: 1 GHz\n", "", f"1:1: an architecture has no `clock`\n  name: m\n  ^^^^^^^\nhint: {KEYS}"),
        (
            "clock: 1 GHz",
            "clock: 1",
            "3:8: `clock` '1' is not a number with a unit\n  clock: 1\n         ^\nhint: write it like `940 MHz`",
        ),
        (
            "clock: 1 GHz",
            "clock: 1 GiB/s",
            "3:8: `clock` '1 GiB/s' has the wrong unit\n  clock: 1 GiB/s\n         ^^^^^^^\nhint: write it like `940 MHz`",
        ),
        (
            "clock: 1 GHz",
            "clock: [1]",
            "3:8: `clock` is not a single value\n  clock: [1]\n         ^^^\nhint: write `clock: ...` on one line",
        ),
        (
            "word: 16 bit",
            "word: 0 bit",
            "4:7: `word` '0 bit' is not positive\n  word: 0 bit\n        ^^^^^\nhint: write it like `16 bit`",
        ),
        (
            "{bandwidth: 1 GiB/s, access: 64 bit, energy: {read: 2 pJ, write: 3 pJ}}",
            "{access: 64 bit, energy: {read: 2 pJ}}",
            "6:9: the outermost memory has no bandwidth\n  dram: {access: 64 bit, energy: {read: 2 pJ}}\n"
            "        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\nhint: write `bandwidth: 400 GiB/s`\n"
            "m.yaml:6:34: `energy` of memory 'dram' has no `write`\n  dram: {access: 64 bit, energy: {read: 2 pJ}}\n"
            "                                 ^^^^^^^^^^^^\nhint: its keys are read, write",
        ),
        (
            "{size: 4 KiB, access: 64 bit, energy: {read: 1 pJ, write: 1 pJ}, area: 2 mm^2}",
            "{sze: 4 KiB, access: 64 bit, energy: 1 pJ}",
            "7:12: unknown key 'sze' in memory 'buffer'\n  buffer: {sze: 4 KiB, access: 64 bit, energy: 1 pJ}\n"
            "           ^^^\nhint: did you mean 'size'?\n"
            "m.yaml:7:48: `energy` of memory 'buffer' is not a mapping\n"
            "  buffer: {sze: 4 KiB, access: 64 bit, energy: 1 pJ}\n"
            "                                               ^^^^\nhint: its keys are read, write",
        ),
        (
            "axes: {x: 4, y: 2}",
            "axes: {x: four}",
            "10:15: axis 'x' is not a positive integer\n  axes: {x: four}\n            ^^^^\nhint: write a number like 256",
        ),
        (
            "axes: {x: 4, y: 2}\n    edges: {north: x}\n",
            "axes: {}\n",
            "10:11: no axis is named here\n  axes: {}\n        ^^\nhint: write `NAME: ...`",
        ),
        (
            "edges: {north: x}",
            "edges: {north: row}",
            "11:20: edge 'north' names no axis of its unit\n  edges: {north: row}\n                 ^^^\nhint: name an axis",
        ),
        (
            "edges: {north: x}",
            "edges: {north: xx}",
            "11:20: edge 'north' names no axis of its unit\n  edges: {north: xx}\n                 ^^\nhint: did you mean 'x'?",
        ),
        (
            "registers: {entries: 10, energy: {read: 1 fJ, write: 2 fJ}}",
            "registers: 4",
            "12:16: `registers` is not a mapping\n  registers: 4\n             ^\nhint: its keys are energy, entries, area",
        ),
        (
            "edges: {north: x}",
            "queue: 0",
            "11:12: `queue` is not a positive integer\n  queue: 0\n         ^\nhint: write a number like 256",
        ),
        (
            "exp: {is: 6 mac}",
            "exp: {is: six mac}",
            "13:66: `is` of operation 'exp' is not a number and an operation\n"
            "  ops: {mac: {slots: 1, energy: 1 pJ, area: 1 um^2}, exp: {is: six mac}}\n"
            "                                                               ^^^^^^^\nhint: write `is: 6 mac`",
        ),
        (
            "exp: {is: 6 mac}",
            "exp: {is: 6 max}",
            "13:61: operation 'exp' is 'max', which the unit does not have itself\n"
            "  ops: {mac: {slots: 1, energy: 1 pJ, area: 1 um^2}, exp: {is: 6 max}}\n"
            "                                                          ^^^^^^^^^^^\nhint: did you mean 'mac'?",
        ),
        (
            "exp: {is: 6 mac}",
            "exp: {is: 6 exp}",
            "13:61: operation 'exp' is 'exp', which the unit does not have itself\n"
            "  ops: {mac: {slots: 1, energy: 1 pJ, area: 1 um^2}, exp: {is: 6 exp}}\n"
            "                                                          ^^^^^^^^^^^\nhint: name an operation that has `slots`",
        ),
        (
            "exp: {is: 6 mac}",
            "exp: {energy: 1 pJ}",
            "13:61: operation 'exp' has no `slots`\n"
            "  ops: {mac: {slots: 1, energy: 1 pJ, area: 1 um^2}, exp: {energy: 1 pJ}}\n"
            "                                                          ^^^^^^^^^^^^^^\nhint: its keys are slots, energy, area",
        ),
        (
            "exp: {is: 6 mac}",
            "ex: {is: 6 mac}",
            "13:60: no cascade has an operation 'ex'\n"
            "  ops: {mac: {slots: 1, energy: 1 pJ, area: 1 um^2}, ex: {is: 6 mac}}\n"
            "                                                         ^^^^^^^^^^^\nhint: did you mean 'exp'?",
        ),
        (
            "exp: {is: 6 mac}",
            "jump: {is: 6 mac}",
            "13:62: no cascade has an operation 'jump'\n"
            "  ops: {mac: {slots: 1, energy: 1 pJ, area: 1 um^2}, jump: {is: 6 mac}}\n"
            f"                                                           ^^^^^^^^^^^\nhint: {KINDS}",
        ),
        (
            "exp: {is: 6 mac}",
            "mul: {is: 6 mac}",
            "13:61: operation 'mul' is done as 'mac'\n"
            "  ops: {mac: {slots: 1, energy: 1 pJ, area: 1 um^2}, mul: {is: 6 mac}}\n"
            "                                                          ^^^^^^^^^^^\nhint: leave it out",
        ),
    ],
)
def test_mistakes(before: str, after: str, message: str) -> None:
    """All mistakes of a file at once, each with its place and what to do."""
    assert before in MACHINE
    with pytest.raises(FusemaxError) as caught:
        parse_arch(MACHINE.replace(before, after), "m.yaml")
    assert str(caught.value) == f"m.yaml:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", f"m.yaml:1:1: an architecture is not a mapping\n  - a\n  ^^^\nhint: {KEYS}"),
        ("just text", f"m.yaml:1:1: an architecture is not a mapping\n  just text\n  ^^^^^^^^^\nhint: {KEYS}"),
        (
            MACHINE.replace("memories:", "memories: 3\nrest:"),
            "m.yaml:5:11: no memory is named here\n  memories: 3\n            ^\nhint: write `NAME: ...`\n"
            f"m.yaml:6:1: unknown key 'rest' in an architecture\n  rest:\n  ^^^^\nhint: {KEYS}",
        ),
    ],
)
def test_texts_that_are_no_architecture(text: str, message: str) -> None:
    """Other YAML is told what an architecture has."""
    with pytest.raises(FusemaxError) as caught:
        parse_arch(text, "m.yaml")
    assert str(caught.value) == message


def changed(text: str) -> str:
    """The machine with some of its lines changed: what stands before `=>` to what stands behind."""
    machine = MACHINE
    for change in text.split("\n;\n"):
        before, after = change.split(" => ") if " => " in change else change.split("\n=>\n")
        assert before in machine
        machine = machine.replace(before, after)
    return machine


def refusal(text: str) -> str:
    """The message with which the changed machine is refused."""
    with pytest.raises(FusemaxError) as caught:
        parse_arch(changed(text), "m.yaml")
    assert all(problem.span and problem.hint for problem in caught.value.problems)
    return str(caught.value)


def test_values_that_no_machine_has(golden: Golden) -> None:
    """Each change is refused with exactly the message that the file has below it; several changes, with all of them."""
    golden(rendered("arch", refusal), "refusals/arch.txt")


@pytest.mark.parametrize(
    "text",
    [
        "1 GiB/s => 0.001 GB/s",
        "size: 4 KiB => size: 1 TiB",
        "16 bit => 8 byte",
        "{x: 4, y: 2} => {x: 1, y: 1}",
        "{north: x} => {north: x, south: x}",
        "name: m => name: 'm: with a colon, and ümlauts'",
        "source: nowhere => source: |\n  two\n  lines",
        "exp: {is: 6 mac} => exp: {is: 1 mac}",
    ],
)
def test_values_that_a_machine_may_have(text: str) -> None:
    """The nearest to what is refused is accepted."""
    assert parse_arch(changed(text)) != parse_arch(MACHINE)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    """Empty and binary files are refused as such."""
    path = tmp_path / "m.yaml"
    for content, said in (
        (b"", f"{path}:1:1: an empty YAML file\n  \n  ^\nhint: write something into it"),
        (b"# nothing\n", f"{path}:1:1: an empty YAML file\n  # nothing\n  ^\nhint: write something into it"),
        (b"name\0\1\2", f"'{path}' is a binary file\nhint: name a text file"),
        (MACHINE.encode("utf-16"), f"'{path}' is UTF-16 text\nhint: save the file as UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(FusemaxError) as caught:
            load_arch(str(path))
        assert str(caught.value) == said


def test_an_unknown_architecture() -> None:
    """The nearest shipped name is offered."""
    with pytest.raises(FusemaxError) as caught:
        load_arch("fusemax-clod")
    assert (
        str(caught.value) == "no file and no shipped architecture 'fusemax-clod'\nhint: did you mean 'fusemax-cloud'?"
    )
