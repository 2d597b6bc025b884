"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from fusemax import FusemaxError
from fusemax.report.files import check_target, write_whole


def fill(path: Path, text: str) -> None:
    """Write a text, whole."""
    write_whole(path, lambda temporary: _write(temporary, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def test_a_file_is_written(tmp_path: Path) -> None:
    """The content arrives, with the rights that any new file has, and nothing else is left."""
    mask = os.umask(0o027)
    try:
        fill(tmp_path / "a.txt", "one")
    finally:
        os.umask(mask)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "one"
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_is_replaced_and_keeps_its_rights(tmp_path: Path) -> None:
    """Writing again replaces the content alone."""
    fill(tmp_path / "a.txt", "one")
    (tmp_path / "a.txt").chmod(0o600)
    fill(tmp_path / "a.txt", "two")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "two"
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o600


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no"), FusemaxError("no")])
def test_a_failure_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    """If writing fails, an old file stays as it was and no temporary one is left."""
    fill(tmp_path / "a.txt", "one")

    def fail(path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise error

    with pytest.raises(type(error)):
        write_whole(tmp_path / "a.txt", fail)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """An error of the system becomes one for the user."""

    def fail(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(FusemaxError) as caught:
        write_whole(tmp_path / "a.txt", fail)
    assert str(caught.value) == (
        f"'{tmp_path / 'a.txt'}' cannot be written: no space left on device\nhint: check the folder and the disk"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    """No folder, no file."""
    with pytest.raises(FusemaxError) as caught:
        fill(tmp_path / "gone" / "a.txt", "one")
    assert str(caught.value) == (
        f"'{tmp_path / 'gone' / 'a.txt'}' cannot be written: no such file or directory\nhint: check the folder and the disk"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.txt", "'a.txt' does not end in .npz\nhint: name it a.npz"),
        ("a", "'a' does not end in .npz\nhint: name it a.npz"),
        ("folder", "'folder' is a folder\nhint: name a file in it, such as folder/out.npz"),
        ("gone/a.npz", "'gone/a.npz' cannot be written: no folder 'gone'\nhint: name a file in a folder that exists"),
        ("file/a.npz", "'file/a.npz' cannot be written: no folder 'file'\nhint: name a file in a folder that exists"),
    ],
)
def test_targets_that_cannot_be_written(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong suffix, a folder, no folder: refused before any work is done."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    with pytest.raises(FusemaxError) as caught:
        check_target(Path(name), (".npz",))
    assert str(caught.value) == message


def test_targets_that_can_be_written(tmp_path: Path) -> None:
    """A suffix in any case, a file that exists or not."""
    check_target(tmp_path / "a.SVG", (".svg", ".png"))
    (tmp_path / "a.png").touch()
    check_target(tmp_path / "a.png", (".svg", ".png"))
