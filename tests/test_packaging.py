"""The wheel installs without a checkout, and the documents name commands that exist."""

import os
import re
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.processes import ROOT, ran

DATA = ("grammars", "cascades", "arch", "mappings")


def run(*command: str | Path, cwd: Path, timeout: float) -> str:
    """The output of a command; a failure shows all of it."""
    outside = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    finished = ran(*command, cwd=cwd, env=outside | {"PYTHONDONTWRITEBYTECODE": "1"}, timeout=timeout)
    assert finished.returncode == 0, f"{' '.join(map(str, command))}\n{finished.stdout}{finished.stderr}"
    return finished.stdout


def build(source: Path, destination: Path, target: str) -> Path:
    """Build the one archive of a kind ("sdist" or "wheel") of a source tree."""
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", destination, cwd=source, timeout=120)
    (archive,) = destination.iterdir()
    return archive


def files(*folders: str) -> set[str]:
    """The files of some folders of the checkout, as paths from its top, without what Python leaves there."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


def contents(wheel: Path) -> set[str]:
    """The files of a wheel, without the folder that describes it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive of the checkout."""
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, unpacked."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 and newer
        archive.extractall(folder)
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.mark.slow
def test_the_sdist_has_everything_that_make_needs(unpacked: Path) -> None:
    """Who has only the source archive has the package, its data, its tests and its commands."""
    wanted = files("fusemax", *DATA, "docs", "examples", "tests", "benchmarks", "requirements")
    wanted |= {"Makefile", "pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"}
    present = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert present - {"PKG-INFO", ".gitignore"} == wanted


@pytest.mark.slow
def test_the_wheel_has_the_package_and_its_data(wheel: Path) -> None:
    """The wheel holds the package and, inside it, the data folders; nothing else."""
    assert contents(wheel) == files("fusemax") | {f"fusemax/_data/{name}" for name in files(*DATA)}


@pytest.mark.slow
def test_the_sdist_builds_the_same_wheel(unpacked: Path, wheel: Path, tmp_path: Path) -> None:
    """A wheel built from the source archive has the same files as one built from the checkout."""
    assert contents(build(unpacked, tmp_path, "wheel")) == contents(wheel)


@pytest.mark.slow
def test_the_wheel_works_on_its_own(wheel: Path, tmp_path: Path) -> None:
    """Installed in a fresh environment, and called from another directory, fusemax lists what it ships."""
    here = "\n".join(f"{each.name}=={each.version}" for each in distributions() if each.name != "fusemax")
    (tmp_path / "here.txt").write_text(here, encoding="utf-8")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path, cwd=tmp_path, timeout=120)
    bin_ = tmp_path / ("Scripts" if os.name == "nt" else "bin")
    pip = (sys.executable, "-m", "pip", "--python", bin_ / "python", "install", "--quiet", "--no-compile")
    run(*pip, "--constraint", tmp_path / "here.txt", wheel, cwd=tmp_path, timeout=600)
    listed = run(bin_ / "fusemax", "list", cwd=Path("/"), timeout=60).split()
    shipped = {path.stem for path in (ROOT / "cascades").glob("*.cascade")}
    assert shipped
    assert shipped <= set(listed)


@pytest.mark.parametrize("name", ["tested", "oldest"])
def test_every_dependency_has_a_release(name: str) -> None:
    """requirements/ has releases of all that is declared, within its bound; the oldest are those of the bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    listed = [
        Requirement(line) for line in (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8").splitlines()
    ]
    for wanted in map(Requirement, declared):
        if wanted.name != "fusemax":
            (bound,) = wanted.specifier
            series = SpecifierSet(f"=={bound.version}.*") if name == "oldest" else wanted.specifier
            releases = [each.specifier for each in listed if each.name == wanted.name.lower()]
            assert releases, f"no release of {wanted.name}: make lock"
            for (release,) in releases:
                assert (bound.operator, release.operator) == (">=", "==")
                assert release.version in series, f"{wanted.name}: make lock"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_the_documents_name_commands_that_exist(document: str) -> None:
    """Every `make something` in a document is a target of the Makefile."""
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = (ROOT / document).read_text(encoding="utf-8")
    on_a_line = re.findall(r"^\s*(?:\$ )?make ([\w-]+)\s*(?:#.*)?$", text, re.MULTILINE)
    named = {*on_a_line, *re.findall(r"`make ([\w-]+)`", text)}
    assert named
    assert named <= targets
