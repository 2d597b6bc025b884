"""Workload files: what they say, and every mistake with its whole message."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusemax import FusemaxError
from fusemax.resources import names
from fusemax.syntax.load import load_workload
from fusemax.syntax.yaml.workload import parse_workload

MODEL = """\
name: tiny
title: A tiny model
source: nowhere
sequence: [M, P]
shapes: {B: 2, M: 8, P: 8, E: 4}
"""
KEYS = "its keys are name, title, source, sequence, shapes, dense"


def test_a_workload() -> None:
    """A name, a title, a source, and shapes, of which some are the sequence."""
    workload = parse_workload(MODEL)
    assert (workload.name, workload.title, workload.source) == ("tiny", "A tiny model", "nowhere")
    assert (workload.sequence, workload.shapes) == (("M", "P"), {"B": 2, "M": 8, "P": 8, "E": 4})


def test_shapes_at_a_length() -> None:
    """A sequence length sets the ranks of the sequence; ranks that are not asked for are left out."""
    workload = parse_workload(MODEL)
    assert workload.at(None, ["M", "E", "X"]) == {"M": 8, "E": 4}
    assert workload.at(1024, ["M", "P", "E"]) == {"M": 1024, "P": 1024, "E": 4}


@pytest.mark.parametrize("name", names("cascades/workloads", ".yaml"))
def test_shipped_workloads_load(name: str) -> None:
    """Each shipped file goes by its name, and says what it is and where its numbers are from."""
    workload = load_workload(name)
    assert workload.name == name
    assert workload.title
    assert workload.source
    assert set(workload.sequence) <= workload.shapes.keys()


def test_a_workload_of_ones_own(tmp_path: Path) -> None:
    """A path is read as well as a name."""
    path = tmp_path / "mine.yaml"
    path.write_text(MODEL, encoding="utf-8")
    assert load_workload(str(path)).name == "tiny"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("title: A tiny model\n", "", f"1:1: a workload has no `title`\n  name: tiny\n  ^^^^^^^^^^\nhint: {KEYS}"),
        (
            "title: A",
            "titel: A",
            f"1:1: a workload has no `title`\n  name: tiny\n  ^^^^^^^^^^\nhint: {KEYS}\n"
            "t.yaml:2:1: unknown key 'titel' in a workload\n  titel: A tiny model\n  ^^^^^\nhint: did you mean 'title'?",
        ),
        (
            "B: 2",
            "B: two",
            "5:13: the size of 'B' is not a positive integer\n  shapes: {B: two, M: 8, P: 8, E: 4}\n              ^^^\n"
            "hint: write a number like 256",
        ),
        (
            "B: 2",
            "B: 0",
            "5:13: the size of 'B' is not a positive integer\n  shapes: {B: 0, M: 8, P: 8, E: 4}\n              ^\n"
            "hint: write a number like 256",
        ),
        (
            "[M, P]",
            "M",
            "4:11: `sequence` is not a list\n  sequence: M\n            ^\nhint: write `sequence: [M, P]`",
        ),
        (
            "[M, P]",
            "[m, X]",
            "4:12: `sequence` names 'm', which has no shape\n  sequence: [m, X]\n             ^\nhint: did you mean 'M'?\n"
            "t.yaml:4:15: `sequence` names 'X', which has no shape\n  sequence: [m, X]\n                ^\nhint: give it one",
        ),
        (
            "shapes: {B: 2, M: 8, P: 8, E: 4}",
            "shapes: 4",
            "4:12: `sequence` names 'M', which has no shape\n  sequence: [M, P]\n             ^\nhint: give it one\n"
            "t.yaml:4:15: `sequence` names 'P', which has no shape\n  sequence: [M, P]\n                ^\nhint: give it one\n"
            "t.yaml:5:9: no rank is named here\n  shapes: 4\n          ^\nhint: write `NAME: ...`",
        ),
    ],
)
def test_mistakes(before: str, after: str, message: str) -> None:
    """All mistakes of a file at once, each with its place and what to do."""
    assert before in MODEL
    with pytest.raises(FusemaxError) as caught:
        parse_workload(MODEL.replace(before, after), "t.yaml")
    assert str(caught.value) == f"t.yaml:{message}"


def test_an_unknown_workload() -> None:
    """The nearest shipped name is offered."""
    with pytest.raises(FusemaxError) as caught:
        load_workload("brt")
    assert str(caught.value) == "no file and no shipped workload 'brt'\nhint: did you mean 'bert'?"
