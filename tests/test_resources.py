"""The shipped files are found in a checkout and in an installed package."""

from pathlib import Path

import pytest

from fusemax import resources

ROOT = Path(__file__).parent.parent


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with one kind of shipped file: two of them, and things that are none."""
    folder = tmp_path / "fusemax" / "_data" / "machines"
    (folder / "more.yaml").mkdir(parents=True)
    for name in ("small.yaml", "large.yaml", "notes.txt", ".hidden.yaml"):
        (folder / name).touch()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "fusemax")
    return folder


def test_a_checkout_uses_its_own_folders() -> None:
    """Without a packaged copy the folder beside the package is used."""
    assert resources.directory("grammars") == ROOT / "grammars"


def test_the_packaged_copy_wins(packaged: Path) -> None:
    """An installed package does not look beside itself, in site-packages."""
    (packaged.parents[2] / "machines").mkdir()
    assert resources.directory("machines") == packaged


def test_names_are_sorted_files_with_the_suffix(packaged: Path) -> None:
    """Folders, hidden files and other suffixes are no names."""
    assert resources.names("machines", ".yaml") == ("large", "small")


def test_path_leads_to_the_file(packaged: Path) -> None:
    """A name from the list leads to its file."""
    assert resources.path("machines", "small", ".yaml") == packaged / "small.yaml"


@pytest.mark.parametrize("name", ["medium", "../machines/small", ""])
def test_only_listed_names_have_a_path(packaged: Path, name: str) -> None:
    """A name that is not in the list, such as a way out of the folder, is refused."""
    with pytest.raises(AssertionError, match="fusemax ships no"):
        resources.path("machines", name, ".yaml")


def test_an_unknown_kind_is_our_mistake() -> None:
    """No user names a kind, so a wrong one is an assertion."""
    with pytest.raises(AssertionError, match=r"^fusemax ships no folder 'nothing'$"):
        resources.directory("nothing")
