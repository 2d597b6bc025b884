"""The house rules that a machine can check: what imports what, who prints, how long a file is, what it names."""

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import fusemax
from tests.processes import ROOT, ran

PACKAGE = ROOT / "fusemax"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

ORDER = (
    "moved",
    "errors",
    "units",
    "resources",
    "view",
    "ir",
    "syntax",
    "validate",
    "reference",
    "analysis",
    "bind",
    "model",
    "sim",
    "mapper",
    "study",
    "report",
    "commands",
    "cli",
    "__main__",
)
MAX_LINES = 400
HEAVY = ("click", "lark", "matplotlib", "networkx", "pandas", "pint", "sympy", "yaml")
DISTRIBUTION_OF = {"yaml": "pyyaml"}  # where the name to install differs from the name to import

Check = Callable[[str, ast.Module], Iterator[str]]


def module_name(path: Path) -> str:
    """fusemax/ir/expr.py is fusemax.ir.expr; a package has the name of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    """The part after `fusemax.`, or nothing for the package itself and for foreign modules."""
    parts = module.split(".")
    return parts[1] if parts[0] == "fusemax" and len(parts) > 1 else ""


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module that the source imports, at its top or inside a function; `from a import b` is a.b."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom():
                yield f"<relative import in line {node.lineno}>"


def upward_imports(module: str, tree: ast.Module) -> Iterator[str]:
    """Imports of a later layer, of a module without a layer, or of the package's public surface."""
    if module == "fusemax":  # offers names of every layer, and loads them when they are used
        return
    if layer(module) not in ORDER:
        yield "has no place in the order of imports"
        return
    for name in imported(tree):
        if name.startswith("<"):
            yield f"{name}: write the full name"
        elif name.split(".")[0] == "fusemax" and name != "fusemax.__version__":
            if layer(name) not in ORDER:
                yield f"imports {name}: import it from the module that defines it"
            elif ORDER.index(layer(name)) > ORDER.index(layer(module)):
                yield f"imports {name}, which comes later"


def parser_imports(module: str, tree: ast.Module) -> Iterator[str]:
    """Imports of lark and yaml: text is read in fusemax.syntax only."""
    if layer(module) != "syntax":
        yield from (f"imports {name}" for name in imported(tree) if name.split(".")[0] in ("lark", "yaml"))


def foreign_imports_of_the_ir(module: str, tree: ast.Module) -> Iterator[str]:
    """Imports of third-party code in fusemax.ir, which is pure data."""
    if layer(module) == "ir":
        yield from (f"imports {name}" for name in third_party(tree))


def third_party(tree: ast.Module) -> Iterator[str]:
    """Imported modules that are neither ours nor Python's."""
    known = sys.stdlib_module_names | {"fusemax"}
    yield from (name for name in imported(tree) if name.split(".")[0] not in known)


def terminal_use(module: str, tree: ast.Module) -> Iterator[str]:
    """Printing, reading the command line and exiting: that is what fusemax.cli is for."""
    if layer(module) in ("cli", "__main__"):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print" | "input" | "exit" | "quit" as name)):
                yield f"calls {name}() in line {node.lineno}"
            case ast.Attribute(value=ast.Name(id="sys"), attr="argv" | "exit" | "stdout" | "stderr" as name):
                yield f"uses sys.{name} in line {node.lineno}"
            case ast.Name(id="SystemExit"):
                yield f"uses SystemExit in line {node.lineno}"
    own = ("click", "argparse", "sys.argv", "sys.exit", "sys.stdout", "sys.stderr")
    yield from (f"imports {name}" for name in imported(tree) if name in own or name.split(".")[0] in own)


WALKERS = ("fusemax.ir.walk", "fusemax.ir.print_mapping", "fusemax.bind.plan")
"""Modules that may recurse over the tree of a mapping: the walks, the printer and the binder."""
WITH_BODIES = {"For", "Block", "Case"}


def second_walks(module: str, tree: ast.Module) -> Iterator[str]:
    """Functions that tell loops, blocks or cases of a mapping apart and call themselves, also by way of others."""
    if module in WALKERS:
        return
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    calls = {name: called(function) & functions.keys() for name, function in functions.items()}
    for name, function in functions.items():
        reached: set[str] = set()
        fresh = calls[name]
        while fresh - reached:
            reached |= fresh
            fresh = {other for each in reached for other in calls[each]}
        if name in reached and told_apart(function) & WITH_BODIES:
            yield f"{name} in line {function.lineno} recurses over the tree of a mapping: use fusemax.ir.walk"


def called(function: ast.FunctionDef) -> set[str]:
    """The names of functions and methods that a function calls or passes on."""
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}


def told_apart(function: ast.FunctionDef) -> set[str]:
    """The classes for which a function looks."""
    found: set[str] = set()
    for node in ast.walk(function):
        match node:
            case ast.MatchClass(cls=ast.Name(id=name)):
                found.add(name)
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, kinds]):
                found |= {each.id for each in ast.walk(kinds) if isinstance(each, ast.Name)}
    return found


def shipped_designs() -> frozenset[str]:
    """The names of shipped cascades, machines and workloads that are too long to be found by chance."""
    files = [file for kind in ("cascades", "arch", "mappings") for file in (ROOT / kind).rglob("*") if file.is_file()]
    return frozenset(name for file in files if len(name := file.stem.lower()) > 3 and not name.startswith("."))


def named_designs(tree: ast.Module, designs: frozenset[str]) -> Iterator[str]:
    """Shipped designs that the code names.

    A compound name (flat-cloud) is looked for anywhere in a string or an identifier (flat_cloud). A name that is a
    plain word (softmax) also has other meanings, and counts where it is the whole string.
    """
    ignored = docstrings(tree)
    compound = sorted((re.escape(name) for name in designs if not name.isalpha()), key=len, reverse=True)
    named = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(compound)})(?![a-z0-9])")
    for node in ast.walk(tree):
        for text in texts(node, ignored):
            normal = text.lower().replace("_", "-")
            found = [normal] if normal in designs else named.findall(normal)
            yield from (f"{name!r} in line {getattr(node, 'lineno', '?')}" for name in found)


def texts(node: ast.AST, ignored: set[int]) -> Iterator[str]:
    """The string literal that a node is, if it is no docstring, or the compound identifiers that it has."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in ignored:
        yield node.value
    for field in ("id", "attr", "arg", "name", "asname"):
        name = getattr(node, field, None)
        if isinstance(name, str) and not name.isalpha():
            yield name


def docstrings(tree: ast.Module) -> set[int]:
    """The string literals that stand as a statement of their own."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def undocumented_tests(tree: ast.Module) -> Iterator[str]:
    """Tests without a docstring, or with one that is no sentence."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            summary = (ast.get_docstring(node) or "").split("\n\n")[0]
            if not summary.endswith("."):
                yield f"{node.name} in line {node.lineno}"


def started_processes(module: str, tree: ast.Module) -> Iterator[str]:
    """Only tests.processes may start a process; tests.mutants, which is a program and no test, ends its own."""
    if module not in ("tests.processes", "tests.mutants") and "subprocess" in set(imported(tree)):
        yield "imports subprocess"


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def violations(paths: list[Path], check: Check) -> str:
    """The findings of a check in files, one line each."""
    return "".join(
        f"{path.relative_to(ROOT)}: {found}\n" for path in paths for found in check(module_name(path), parsed(path))
    )


RULES: tuple[Check, ...] = (upward_imports, parser_imports, foreign_imports_of_the_ir, terminal_use, second_walks)


@pytest.mark.parametrize("check", RULES, ids=lambda check: check.__name__)
def test_the_package_keeps_the_rule(check: Check) -> None:
    """No module of the package breaks the rule."""
    assert violations(MODULES, check) == ""


@pytest.mark.parametrize(
    ("check", "module", "source", "found"),
    [
        (upward_imports, "fusemax.ir.expr", "import fusemax.ir.cascade, fusemax.errors", []),
        (upward_imports, "fusemax.cli", "from fusemax import __version__, commands", []),
        (upward_imports, "fusemax", "from fusemax.commands import analyze", []),
        (
            upward_imports,
            "fusemax.ir.expr",
            "def f():\n  from fusemax.validate import names",
            ["imports fusemax.validate.names, which comes later"],
        ),
        (
            upward_imports,
            "fusemax.errors",
            "from fusemax import units",
            ["imports fusemax.units, which comes later"],
        ),
        (
            upward_imports,
            "fusemax.validate",
            "from fusemax import parse",
            ["imports fusemax.parse: import it from the module that defines it"],
        ),
        (
            upward_imports,
            "fusemax.validate",
            "from . import rules",
            ["<relative import in line 1>: write the full name"],
        ),
        (upward_imports, "fusemax.helpers", "", ["has no place in the order of imports"]),
        (parser_imports, "fusemax.syntax.cascade.parser", "import lark, yaml", []),
        (parser_imports, "fusemax.validate", "from lark.tree import Meta", ["imports lark.tree.Meta"]),
        (foreign_imports_of_the_ir, "fusemax.ir.expr", "import math\nimport numpy as np", ["imports numpy"]),
        (foreign_imports_of_the_ir, "fusemax.model", "import numpy", []),
        (terminal_use, "fusemax.cli", "import sys, click\nprint(sys.argv)", []),
        (
            terminal_use,
            "fusemax.report",
            "import sys\nprint(sys.argv)\nfrom click import echo",
            ["calls print() in line 2", "uses sys.argv in line 2", "imports click.echo"],
        ),
        (second_walks, "fusemax.bind.plan", "def f(n):\n  if isinstance(n, For): f(n.body)", []),
        (second_walks, "fusemax.report", "def f(n):\n  return [g for g in walk(n) if isinstance(g, For | Block)]", []),
        (
            second_walks,
            "fusemax.report",
            "class A:\n  def f(self, n):\n    match n:\n      case For(): self.g(n)\n  def g(self, n):\n    self.f(n.body)",
            ["f in line 2 recurses over the tree of a mapping: use fusemax.ir.walk"],
        ),
    ],
)
def test_the_rule_finds_what_breaks_it(check: Check, module: str, source: str, found: list[str]) -> None:
    """Each check accepts what is allowed and reports what is not."""
    assert list(check(module, ast.parse(source))) == found


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_files_stay_short(path: Path) -> None:
    """A file of the package can be read in one sitting."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES


def test_designs_are_data() -> None:
    """No module of the package names a shipped design outside its docstrings and comments."""
    designs = shipped_designs()
    assert designs
    assert violations(MODULES, lambda _, tree: named_designs(tree, designs)) == ""


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""as in attention-1pass"""\nx = 1  # attention-1pass', []),
        ('x = "try attention-1pass"', ["'attention-1pass' in line 1"]),
        ('x = f"{y}/Attention-1pass.cascade"', ["'attention-1pass' in line 1"]),
        ("def read_attention_1pass(): ...", ["'attention-1pass' in line 1"]),
        ('x = "attention-1passed"', []),
        ('x = "the softmax of a row"', []),
        ('x = {"softmax": 1}', ["'softmax' in line 1"]),
        ("softmax = attention = 1", []),
    ],
)
def test_named_designs_are_found(source: str, found: list[str]) -> None:
    """Compound names are found anywhere in code, plain words only as a whole string."""
    designs = frozenset({"attention-1pass", "softmax"})
    assert list(named_designs(ast.parse(source), designs)) == found


def test_examples_use_the_public_surface() -> None:
    """Examples and the README import from `fusemax` alone, and only names that it has."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in readme.splitlines() if re.match(r"    (from|import) ", line)]
    trees = [parsed(path) for path in sorted((ROOT / "examples").glob("*.py"))] + [ast.parse("\n".join(lines))]
    found = {name for tree in trees for name in imported(tree) if name.split(".")[0] == "fusemax"}
    assert found and found <= {f"fusemax.{name}" for name in fusemax.__all__}


def test_public_names_are_of_the_modules_that_they_name() -> None:
    """Every public name loads, and type checkers see the same names."""
    for name in fusemax.__all__:
        assert getattr(fusemax, name) is not None
    seen = {alias.asname for node in ast.walk(parsed(PACKAGE / "__init__.py")) if isinstance(node, ast.ImportFrom)
            for alias in node.names if alias.asname}  # fmt: skip
    assert seen == set(fusemax.__all__) - {"__version__"}


def test_importing_the_package_is_light() -> None:
    """`import fusemax` loads none of the libraries that take long to load."""
    program = "import sys, fusemax; print(*sorted(sys.modules))"
    finished = ran(sys.executable, "-c", program)
    assert finished.returncode == 0, finished.stderr
    assert set(finished.stdout.split()) & set(HEAVY) == set()


def test_third_party_imports_are_declared() -> None:
    """Every import of the package is one of its dependencies, or of its extras for users."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = {
        re.split(r"[^\w-]", requirement)[0].lower()
        for requirement in project["dependencies"] + extras["plot"] + extras["pandas"]
    }

    def undeclared(_: str, tree: ast.Module) -> Iterator[str]:
        tops = {name.split(".")[0] for name in third_party(tree)}
        yield from sorted(top for top in tops if DISTRIBUTION_OF.get(top, top) not in declared)

    assert violations(MODULES, undeclared) == ""


def test_processes_have_one_home() -> None:
    """Tests start processes by tests/processes.py, which ends all that is left of them."""
    assert violations(TESTS, started_processes) == ""


def test_every_test_says_what_it_shows() -> None:
    """Every test has a docstring whose first paragraph is a sentence."""
    assert violations(TESTS, lambda _, tree: undocumented_tests(tree)) == ""
