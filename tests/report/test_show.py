"""Architectures and mappings as trees and pictures."""

from pathlib import Path
from typing import Any

import pytest

from fusemax import load_arch, resources
from fusemax.commands import shown
from fusemax.errors import FusemaxError
from fusemax.ir.arch import Arch
from fusemax.report.arch_picture import Card, arch_sheet, mapping_sheet
from fusemax.report.arch_tree import load_shown
from fusemax.report.mapping_tree import ShownMapping
from tests.conftest import Golden

MAPPINGS = resources.names("mappings", ".mapping")
ARCHES = resources.names("arch", ".yaml")


@pytest.mark.parametrize("name", ARCHES)
def test_an_architecture(name: str, golden: Golden) -> None:
    """An architecture is a tree of memories, units and operations, with readable units."""
    golden(f"{shown(name, shapes={})}\n", f"show/{name}.txt")


@pytest.mark.parametrize("name", MAPPINGS)
def test_a_mapping_without_sizes(name: str, golden: Golden) -> None:
    """A mapping is its loop tree; tiles are named by their variables, and all branches of a family are there."""
    golden(f"{shown(name, shapes={})}\n", f"show/{name}.txt")


@pytest.mark.parametrize("name", MAPPINGS)
def test_a_mapping_with_sizes(name: str, golden: Golden) -> None:
    """With a model, every loop has its extent, every tile its bytes, and the branch that is taken stands alone."""
    point: Any = {"shapes": {}, "model": "bert", "length": 65536}
    if name == "linear":  # whose ranks are no model's
        point = {"shapes": {"M": 65536, "K": 768, "N": 3072}}
    golden(f"{shown(name, **point)}\n", f"show/{name}-bert-64K.txt")


def test_settings_choose_the_branch() -> None:
    """Parameters that are set overrule the table."""
    settings = {"qk": "weight", "kept": "Q AV", "rows": "1K"}
    text = str(shown("flat", shapes={}, model="bert", length=16384, settings=settings))
    assert "parameters: rows = 1024, kept = Q AV, qk = weight, av = output" in text
    assert "array2d (rows: e, 64 of 256; columns: m0, 256 of 256)" in text
    assert "dram holds QK 32 MiB, A 32 MiB" in text


def test_a_mapping_of_ones_own(tmp_path: Path) -> None:
    """A file is shown like a shipped mapping, also with a remark, a wait and Einsums without axes."""
    path = tmp_path / "mine.mapping"
    path.write_text("mapping mine\ncascade matmul\narch flat-cloud\nfor m, n: on array1d: Z over k\n", encoding="utf-8")
    expected = """\
mine: matmul on flat-cloud
  for m, n
    array1d
      Z over k:  Z[m, n] = A[k, m] * B[k, n]"""
    assert str(shown(str(path), shapes={})) == expected


def test_names_are_of_one_thing() -> None:
    """No architecture has the name of a mapping, so a name says which is meant."""
    assert set(ARCHES) & set(MAPPINGS) == set()
    assert isinstance(load_shown(ARCHES[0]), Arch)
    assert not isinstance(load_shown(MAPPINGS[0]), Arch)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fusemax-clod", "no shipped architecture or mapping 'fusemax-clod'\nhint: did you mean 'fusemax-cloud'?"),
        ("bindin.mapping", "no file 'bindin.mapping'\nhint: `fusemax list` shows what is shipped"),
        ("x", "no shipped architecture or mapping 'x'\nhint: `fusemax list` shows what is shipped; a file ends in .yaml or .mapping"),
    ],
)  # fmt: skip
def test_nothing_of_that_name(name: str, said: str) -> None:
    """An unknown name is refused, with the nearest one."""
    with pytest.raises(FusemaxError) as error:
        load_shown(name)
    assert str(error.value) == said


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    """The suffix of a file says what it is."""
    path = tmp_path / "notes.txt"
    path.touch()
    with pytest.raises(FusemaxError) as error:
        load_shown(str(path))
    assert str(error.value) == f"'{path}' ends neither in .yaml nor in .mapping\nhint: an architecture is a .yaml file"


def test_an_architecture_has_no_sizes() -> None:
    """Sizes are of mappings."""
    with pytest.raises(FusemaxError, match="'flat-edge' is an architecture, which has no sizes"):
        shown("flat-edge", shapes={}, model="bert")


def test_the_picture_of_an_architecture() -> None:
    """Memories have their sizes, units their axes and operations, and what is between has its rates."""
    sheet = arch_sheet(load_arch("fusemax-cloud"))
    assert sheet.memories[1] == Card("buffer", "16 MiB", ("an access of 4096 bit: read 12.51 nJ, write 15.75 nJ",))
    assert sheet.units[0].lines[-1] == "exp: 6 mac"
    assert sheet.links == ("400 GiB/s", "words a cycle: north 256, west 256, south 256", "")


def test_the_picture_of_a_mapping() -> None:
    """Memories have what they hold, units what they run, phase by phase."""
    found = shown("unfused", shapes={}, model="bert", length=65536)
    assert isinstance(found, ShownMapping)
    sheet = mapping_sheet(found)
    assert (sheet.title, sheet.subtitle) == ("unfused", "attention-3pass on flat-cloud, bert 64K")
    assert sheet.memories[0].lines == ("inputs and outputs: Q, K, V, AV",)
    assert sheet.memories[1].lines[1] == "phase 2: holds QK 128 KiB, GM 2 B, SN 128 KiB, SD 2 B"
    assert sheet.units[0].lines == ("phase 1: QK over e=64", "phase 3: AV over f=64")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_pictures_are_drawn(tmp_path: Path, suffix: str) -> None:
    """Architectures and mappings become pictures of any kind."""
    for name in ("flat-edge", "flat"):
        shown(name, shapes={}).plot(tmp_path / f"{name}{suffix}")
        assert (tmp_path / f"{name}{suffix}").stat().st_size > 1000


def test_a_wait_and_the_tile_before() -> None:
    """Everything that a mapping may say has its line."""
    text = str(shown("fusemax-architecture", shapes={}))
    assert "wait until LM has drained" in text
    assert "previous  -- for the tile before" in text
