"""The law in docs/: its examples run, its functions exist, its constants are the code's, its rules are cited rightly."""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
LAW = (ROOT / "docs" / "model.md", ROOT / "docs" / "passes.md")

FENCE = re.compile(r"^```(?P<language>\w+)(?: (?P<name>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block of code; one with a name is a file that examples read."""
HEADING = re.compile(r"^#{2,3} (.*)$", re.MULTILINE)
RULE = re.compile(r"Rule (P?\d+)\. ")
PATH = re.compile(r"`(fusemax(?:\.\w+)+)`")
CONSTANT = re.compile(r"^\| `(fusemax(?:\.\w+)+)` \| `(.*?)` \|", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of a document, the text below it, and the line at which this begins."""

    document: Path
    heading: str
    text: str
    line: int

    @property
    def rule(self) -> str | None:
        """The number of the rule that the section states."""
        found = RULE.match(self.heading)
        return found and found[1]

    @property
    def examples(self) -> list[tuple[str, int]]:
        """The Python blocks, with their lines."""
        blocks = FENCE.finditer(self.text)
        return [
            (b["text"], self.line + self.text[: b.start()].count("\n")) for b in blocks if b["language"] == "python"
        ]

    def __str__(self) -> str:
        return f"{self.document.stem}: {self.heading}"


@cache
def sections(document: Path) -> tuple[Section, ...]:
    """The sections of a document, whatever their level."""
    text = document.read_text(encoding="utf-8")
    found = list(HEADING.finditer(text))
    ends = [heading.start() for heading in found[1:]] + [len(text)]
    return tuple(
        Section(document, heading[1], text[heading.end() : end], text[: heading.end()].count("\n") + 1)
        for heading, end in zip(found, ends, strict=True)
    )


SECTIONS = [section for document in LAW for section in sections(document)]
EXAMPLES = [section for section in SECTIONS if section.examples]
PREFACES = {document: next(s for s in sections(document) if s.examples) for document in LAW}
"""The first examples of each document are there for all that follow."""


def run(section: Section, names: dict[str, Any]) -> str:
    """Run the examples of a section, which may define names; what they print otherwise than they say."""
    runner, told = doctest.DocTestRunner(), [""]
    for text, line in section.examples:
        test = doctest.DocTestParser().get_doctest(text, names, section.heading, str(section.document), line)
        runner.run(test, out=told.append, clear_globs=False)
        names.update(test.globs)
    return "".join(told)


@pytest.mark.parametrize("section", EXAMPLES, ids=str)
def test_the_examples_run(section: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of a section print what stands below them, given the files of the document and its first examples."""
    monkeypatch.chdir(tmp_path)
    for block in FENCE.finditer(section.document.read_text(encoding="utf-8")):
        if block["name"]:
            Path(block["name"]).write_text(block["text"], encoding="utf-8")
    names: dict[str, Any] = {}
    preface = PREFACES[section.document]
    told = run(preface, names) or ("" if section is preface else run(section, names))
    if told:
        pytest.fail(told, pytrace=False)


def test_a_wrong_example_is_found(tmp_path: Path) -> None:
    """An example that prints something else is told, with its line."""
    section = Section(tmp_path / "wrong.md", "Wrong", "\n```python\n>>> 1 + 1\n3\n```\n", 7)
    told = run(section, {})
    assert 'wrong.md", line 9, in Wrong' in told
    assert "Expected:\n    3\nGot:\n    2\n" in told


@pytest.mark.parametrize(("document", "mark"), [(LAW[0], ""), (LAW[1], "P")], ids=("model", "passes"))
def test_the_rules_are_numbered_in_order(document: Path, mark: str) -> None:
    """The rules of a document are numbered from 1 on, without a gap; those of passes with a P."""
    numbers = [section.rule for section in sections(document) if section.rule]
    assert numbers == [f"{mark}{i}" for i in range(1, max(16, len(numbers)) + 1)]


@pytest.mark.parametrize("section", [s for s in EXAMPLES if s not in PREFACES.values()], ids=str)
def test_a_rule_has_all_parts(section: Section) -> None:
    """Every section with an example, and so every rule, has one source, one function, and says that the example is one."""
    assert len(re.findall(r"^- Source: \S", section.text, re.MULTILINE)) == 1
    assert len(re.findall(r"^- Function: `fusemax[\w.]+`$", section.text, re.MULTILINE)) == 1
    assert section.text.count("**Worked example.**") == 1


def test_every_rule_has_an_example() -> None:
    """No rule is stated without an example that runs."""
    assert [str(section) for section in SECTIONS if section.rule and not section.examples] == []


def resolved(path: str) -> Any:
    """The object of a dotted path: a module, or something in one. Raises `ImportError` or `AttributeError`."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise ImportError(path)


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.stem)
def test_named_functions_exist(document: Path) -> None:
    """Each dotted path in a document names something of the package, and by the module that defines it."""
    for path in PATH.findall(document.read_text(encoding="utf-8")):
        found = resolved(path)
        home, name = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
        assert home is None or name is None or f"{home}.{name}" == path


def test_constants_are_those_of_the_code() -> None:
    """The table of constants has the values that the code has."""
    constants = CONSTANT.findall(LAW[0].read_text(encoding="utf-8"))
    assert constants
    assert {path: ast.literal_eval(value) for path, value in constants} == {
        path: resolved(path) for path, _ in constants
    }


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", LAW, ids=lambda path: path.stem)
def test_links_lead_somewhere(document: Path) -> None:
    """Each link of the law is a file beside it or a heading."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    links = LINK.findall(text)
    assert links
    for link in links:
        file, _, heading = link.partition("#")
        target = document.parent / file if file else document
        assert target.is_file()
        assert not heading or heading in {
            anchor(found) for found in HEADING.findall(target.read_text(encoding="utf-8"))
        }


def test_the_contents_name_all_sections() -> None:
    """The table of contents of each document has all its sections."""
    for document in LAW:
        linked = LINK.findall(next(s.text for s in sections(document) if s.heading == "Contents"))
        expected = [f"#{anchor(s.heading)}" for s in sections(document) if s.heading != "Contents"]
        grouped = {"#structure", "#movement"}
        assert [link for link in linked if link not in grouped] == [link for link in expected if link not in grouped]


# ----------------------------------------------------------------------------------------------------------- references

FOLDERS = ("fusemax", "tests", "docs", "benchmarks", "grammars", "cascades", "arch", "mappings", "examples")
CITED = re.compile(r"(?i)\brules? (P?\d+)(?:(?: to |, | and )(P?\d+))*")
DOCUMENT = re.compile(r"\bdocs/[\w-]+\.md\b")
OUTSIDE = re.compile(r"\b\d{1,2}-[a-z][a-z-]*\.md\b|\.\./(?:shared|design)|\bthe design\b")


def texts() -> Iterator[tuple[Path, str]]:
    """All texts of the repository but this one."""
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*")) if file.is_file()]
    for file in [*files, *sorted(ROOT.glob("*.md")), ROOT / "Makefile", ROOT / "pyproject.toml"]:
        if file.suffix != ".pyc" and file != Path(__file__):
            yield file.relative_to(ROOT), file.read_text(encoding="utf-8")


def test_nothing_refers_to_documents_outside() -> None:
    """No file of the repository refers to a document that is not in it."""
    assert [(str(file), found) for file, text in texts() for found in OUTSIDE.findall(text)] == []
    named = {(str(file), document) for file, text in texts() for document in DOCUMENT.findall(text)}
    assert sorted((file, document) for file, document in named if not (ROOT / document).is_file()) == []


def test_cited_rules_exist() -> None:
    """A rule that is cited by its number is one of the law."""
    known = {section.rule for section in SECTIONS if section.rule}
    cited = {
        (str(file), number)
        for file, text in texts()
        for found in CITED.finditer(text)
        for number in re.findall(r"P?\d+", found[0])
    }
    assert sorted((file, number) for file, number in cited if number not in known) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see 3-model.md", ["3-model.md"]),
        ("../shared/x", ["../shared"]),
        ("the design's rule 14", ["the design"]),
        ("docs/model.md, rule 9", []),
        ("FuseMax's design", []),
    ],
)
def test_outside_documents_are_found(text: str, found: list[str]) -> None:
    """References to documents outside are found, and those to the law are none."""
    assert OUTSIDE.findall(text) == found
