"""Mistakes on the command line: status 1, one message with the mistake, its place and a remedy, and no output."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusemax.cli import run
from tests.processes import FUSEMAX, ran

Run = Callable[..., str]
EMPTY = "no statement in this file"
EQUATION = "hint: write an equation: `Z[m] = A[k, m] * B[k]`\n"
LIST = "hint: `fusemax list` shows what is shipped\n"
SMALL = ["--shape", "M=4,N=5,K=6"]


@pytest.fixture
def mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`mistake("analyze", "x")`: the message, in a folder of its own; the status is 1 and nothing else is printed."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("binary").write_bytes(b"\0\1\2")
    Path("empty").touch()
    Path("comments").write_text("# only\n# comments\n", encoding="utf-8")
    Path("latin").write_bytes("# café\nZ[m] = A[m]\n".encode("latin-1"))
    Path("utf16").write_text("Z[m] = A[m]\n", encoding="utf-16")
    Path("long").write_text("Z[m] = " + "A[m] + " * 1_500_000 + "A[m]\n", encoding="utf-8")
    Path("text.npz").write_text("hello", encoding="utf-8")
    Path("mine.cascade").write_text("input A[K, M], B[K, N]\nZ[m, n] = A[k, m] * B[k, n]\n", encoding="utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())

    def call(*arguments: str) -> str:
        status = run(list(arguments))
        captured = capsys.readouterr()
        assert (status, captured.out) == (1, "")
        assert "Traceback" not in captured.err
        assert sorted(path.name for path in tmp_path.iterdir()) == before, "a file was left"
        return captured.err

    return call


# -------------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("command", [["analyze"], ["check"], ["fmt"], ["run"], ["graph", "--out", "a.svg"]])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.cascade", f"error: no file 'missing.cascade'\n{LIST}"),
        (
            "atention-1pass",
            "error: no file and no shipped cascade 'atention-1pass'\nhint: did you mean 'attention-1pass'?\n",
        ),
        ("xyz", f"error: no file and no shipped cascade 'xyz'\n{LIST}"),
        ("", "error: an empty name\nhint: name a file, or one of `fusemax list`\n"),
        ("folder", "error: 'folder' is a folder\nhint: name one file in it\n"),
        ("binary", "error: 'binary' is a binary file\nhint: name a text file\n"),
        ("empty", f"empty:1:1: {EMPTY}\n  \n  ^\n{EQUATION}"),
        ("comments", f"comments:1:1: {EMPTY}\n  # only\n  ^\n{EQUATION}"),
        ("latin", "error: 'latin' is not UTF-8 text\nhint: line 1 holds byte 0xe9; save the file as UTF-8\n"),
        ("utf16", "error: 'utf16' is UTF-16 text\nhint: save the file as UTF-8\n"),
    ],
)
def test_files_that_are_no_cascade(command: list[str], name: str, message: str, mistake: Run) -> None:
    """Every command that takes a cascade says the same."""
    assert mistake(*command, name) == message


def test_a_line_of_ten_megabytes(mistake: Run) -> None:
    """It is refused at once, and only its beginning is shown."""
    message = mistake("analyze", "long")
    assert message.startswith("long:1:1: a statement of 10,500,011 characters; the longest that is read has 20,000\n")
    assert message.endswith("hint: write one equation per line\n")
    assert len(message) < 400


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_an_unreadable_file(mistake: Run) -> None:
    """Without permission the error says so."""
    Path("mine.cascade").chmod(0)
    assert mistake("analyze", "mine.cascade") == (
        "error: 'mine.cascade' cannot be read: permission denied\nhint: check the path\n"
    )


def test_all_problems_of_a_file(mistake: Run) -> None:
    """Each with its place, and how many there are."""
    Path("mine.cascade").write_text("input A[M]\nZ[m] = B[m]\nY[m] = A[m, k]\n", encoding="utf-8")
    message = mistake("analyze", "mine.cascade")
    assert message.startswith("mine.cascade:2:8: tensor 'B' is read but never written or declared\n  Z[m] = B[m]\n")
    assert "mine.cascade:3:8: " in message
    assert message.endswith("\n2 problems\n")


def test_check_goes_on_after_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """Files without mistakes are reported all the same; one mistake in any of them is status 1."""
    assert run(["check", "matmul", "nope", "cascade-1"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "matmul: ok, 1 Einsum, A, B -> Z\ncascade-1: ok, 2 Einsums, A, B -> Z\n"
    assert captured.err == f"error: no file and no shipped cascade 'nope'\n{LIST}"


# ------------------------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (["M=-1"], "size of rank 'M': -1 is less than 1\nhint: give an integer of at least 1\n"),
        (["M=0"], "size of rank 'M': 0 is less than 1\nhint: give an integer of at least 1\n"),
        (["M=1e3"], "size of rank 'M': '1e3' is not an integer\nhint: write a number like 1024, 64K or 1M\n"),
        (["M=1.5"], "size of rank 'M': '1.5' is not an integer\nhint: write a number like 1024, 64K or 1M\n"),
        (["M=1T"], "size of rank 'M': '1T' is not an integer\nhint: write a number like 1024, 64K or 1M\n"),
        (["M="], "size of rank 'M': '' is not an integer\nhint: write a number like 1024, 64K or 1M\n"),
        (["M"], "'M' is not a rank and its size\nhint: write it like M=1024\n"),
        (["=4"], "'=4' is not a rank and its size\nhint: write it like M=1024\n"),
        ([""], "'' is not a rank and its size\nhint: write it like M=1024\n"),
        (["M=4,"], "'' is not a rank and its size\nhint: write it like M=1024\n"),
        (["M=4,K=x"], "size of rank 'K': 'x' is not an integer\nhint: write a number like 1024, 64K or 1M\n"),
        (["X=3"], "this cascade has no rank 'X'\nhint: its ranks are K, M, N\n"),
        (["m=3"], "this cascade has no rank 'm'\nhint: did you mean 'M'?\n"),
        (["M=4,M=5"], "two sizes for rank 'M': 4 and 5\nhint: give one\n"),
        (["M=4", "M=5"], "two sizes for rank 'M': 4 and 5\nhint: give one\n"),
        (["M=4", "--shape", "M=5"], "two sizes for rank 'M': 4 and 5\nhint: give one\n"),
        (
            ["M=99999999999999999999"],
            "size 99999999999999999999 of rank 'M' is larger than 2^53\nhint: give a size that a machine could hold\n",
        ),
    ],
)
def test_impossible_shapes(shapes: list[str], message: str, mistake: Run) -> None:
    """Not positive, not an integer, not a rank, contradictory, beyond all machines; whichever command takes them."""
    assert mistake("analyze", "matmul", "--shape", *shapes) == f"error: {message}"
    assert mistake("run", "matmul", "--shape", *shapes) == f"error: {message}"


def test_a_huge_filter_is_refused(mistake: Run) -> None:
    """Points within a filter are counted one by one, and not for ever."""
    assert mistake("analyze", "attention-causal", "--shape", "M=1G", "P=1G") == (
        "error: a filter over M=1073741824 x P=1073741824 is too large to count\nhint: give smaller shapes\n"
    )


def test_shapes_that_do_not_divide(mistake: Run) -> None:
    """The equation is shown."""
    message = mistake("analyze", "attention-1pass", "--shape", "M=1000")
    assert message.startswith("attention-1pass.cascade:6:")
    assert "the division in `M1 = M / M0` is not exact with M = 1000, M0 = 256\n" in message
    assert message.endswith("\nhint: give sizes that divide\n")


def test_missing_shapes(mistake: Run) -> None:
    """What is missing, and what to type."""
    assert mistake("run", "matmul", "--shape", "M=4") == (
        "error: no size for 'K' and 'N'\nhint: give it, for instance `--shape K=64 N=64`\n"
    )


def test_a_run_beyond_memory(mistake: Run) -> None:
    """The interpreter stops before the machine does."""
    message = mistake("run", "matmul", "--shape", "M=999999,N=999999,K=999999")
    assert message.startswith("error: these shapes need 2.235e+04 GiB, most of it for ")
    assert message.endswith("\nhint: the interpreter stops at 8 GiB: give smaller shapes\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seq", "5"], "a sequence length without a model\nhint: add --model, or give --shape M=1024 P=1024\n"),
        (["--model", "bert", "--seq", "0"], "sequence length: 0 is less than 1\nhint: give an integer of at least 1\n"),
        (
            ["--model", "bert", "--seq", "long"],
            "sequence length: 'long' is not an integer\nhint: write a number like 1024, 64K or 1M\n",
        ),
        (["--model", "brt"], "no file and no shipped workload 'brt'\nhint: did you mean 'bert'?\n"),
        (["--model", "folder"], "'folder' is a folder\nhint: name one file in it\n"),
    ],
)
def test_impossible_models(options: list[str], message: str, mistake: Run) -> None:
    """A length without a model, lengths that cannot be, models that are not there."""
    assert mistake("analyze", "attention", *options) == f"error: {message}"


# ------------------------------------------------------------------------------------------------------------ analyze


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tile", "X=3"], "this cascade has no rank 'X' to tile\nhint: its ranks are 'K', 'M' and 'N'\n"),
        (["--tile", "m=3"], "this cascade has no rank 'm' to tile\nhint: did you mean 'M'?\n"),
        (["--tile", "M=0"], "size of rank 'M': 0 is less than 1\nhint: give an integer of at least 1\n"),
        (["--tile", "M=8", "--shape", "M=4"], "a tile of 8 along rank 'M', which has 4\nhint: give a smaller one\n"),
        (["--tile", "M"], "'M' is not a rank and its size\nhint: write it like M=1024\n"),
        (["--buffer", "16"], "the buffer '16' is not a number with a unit\nhint: write it like `16 MiB`\n"),
        (["--buffer", "16 MB/s"], "the buffer '16 MB/s' has the wrong unit\nhint: write it like `16 MiB`\n"),
        (["--buffer", "16XB"], "the buffer '16XB' has an unknown unit\nhint: write it like `16 MiB`\n"),
        (["--buffer=-16MiB"], "the buffer '-16MiB' is not positive\nhint: write it like `16 MiB`\n"),
        (["--buffer", "0B"], "the buffer '0B' is not positive\nhint: write it like `16 MiB`\n"),
        (
            ["--buffer", "1 bit"],
            "the buffer '1 bit' is not a whole number of bytes\nhint: give a whole number of bytes\n",
        ),
        (["--word", "0bit"], "the word '0bit' is not positive\nhint: write it like `16 bit`\n"),
        (["--word", "16"], "the word '16' is not a number with a unit\nhint: write it like `16 bit`\n"),
        (["--word", "0.5bit"], "the word '0.5bit' is not a whole number of bits\nhint: give a whole number of bits\n"),
        (
            ["--arch", "fusemaxcloud"],
            "no file and no shipped architecture 'fusemaxcloud'\nhint: did you mean 'fusemax-cloud'?\n",
        ),
        (
            ["--arch", "fusemax-cloud"],
            "a roofline needs a size for 'K', 'M' and 'N'\nhint: give it, for instance `--shape K=64 M=64 N=64`\n",
        ),
        (["--explain", "X"], "no Einsum traverses a rank 'X'\nhint: its ranks are 'K', 'M' and 'N'\n"),
        (["--explain", ""], "no Einsum traverses a rank ''\nhint: its ranks are 'K', 'M' and 'N'\n"),
        (["--explain", "X", "--json"], "no Einsum traverses a rank 'X'\nhint: its ranks are 'K', 'M' and 'N'\n"),
    ],
)
def test_impossible_options_of_analyze(options: list[str], message: str, mistake: Run) -> None:
    """Tiles, buffers, words, machines and ranks that cannot be."""
    assert mistake("analyze", "matmul", *options) == f"error: {message}"


def test_a_buffer_without_sizes(mistake: Run) -> None:
    """A comparison says which sizes it needs."""
    assert mistake("analyze", "attention-3pass", "--buffer", "1KiB") == (
        "error: comparing rank 'M' with a buffer needs a size for 'M'\nhint: give it, for instance `--shape M=64`\n"
    )


def test_an_architecture_with_mistakes(mistake: Run) -> None:
    """A file of one's own is read with places."""
    assert mistake("analyze", "matmul", "--arch", "comments").startswith("comments:1:1: an empty YAML file\n")


# ---------------------------------------------------------------------------------------------------------------- run


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tolerance", "1"], "a tolerance without a reference\nhint: add --against NAME\n"),
        (
            ["--against", "matmul", "--tolerance", "nan"],
            "a tolerance of nan\nhint: give 0, or a positive number such as 1e-9\n",
        ),
        (
            ["--against", "matmul", "--tolerance", "-1"],
            "a tolerance of -1\nhint: give 0, or a positive number such as 1e-9\n",
        ),
        (
            ["--against", "matmul", "--tolerance", "x"],
            "invalid value for '--tolerance': 'x' is not a valid float\nhint: `fusemax run --help` shows how it is used\n",
        ),
        (
            ["--against", "attention"],
            "'attention' cannot be compared: 'matmul' has no input 'Q', 'K' and 'V'\n"
            "hint: compare cascades with the same inputs and outputs\n",
        ),
        (["--against", "mtmul"], "no file and no shipped cascade 'mtmul'\nhint: did you mean 'matmul'?\n"),
        (["--seed", "-1"], "seed: -1 is less than 0\nhint: give an integer of at least 0\n"),
        (["--seed", "x"], "seed: 'x' is not an integer\nhint: write a number like 1024, 64K or 1M\n"),
        (["--inputs", "none.npz"], "no file 'none.npz'\nhint: name a file that `numpy.savez` wrote\n"),
        (["--inputs", "text.npz"], "'text.npz' is not a .npz file\nhint: write it with `numpy.savez`\n"),
        (["--inputs", "folder"], "'folder' is not a .npz file\nhint: write it with `numpy.savez`\n"),
        (["--out", "x.txt"], "'x.txt' does not end in .npz\nhint: name it x.npz\n"),
        (["--out", "x"], "'x' does not end in .npz\nhint: name it x.npz\n"),
        (["--out", "folder"], "'folder' is a folder\nhint: name a file in it, such as folder/out.npz\n"),
        (
            ["--out", "no/x.npz"],
            "'no/x.npz' cannot be written: no folder 'no'\nhint: name a file in a folder that exists\n",
        ),
    ],
)
def test_impossible_options_of_run(options: list[str], message: str, mistake: Run) -> None:
    """References that are others, tolerances, seeds and files that cannot be; nothing is left half-written."""
    assert mistake("run", "matmul", *SMALL, *options) == f"error: {message}"


def test_a_reference_with_other_outputs(mistake: Run) -> None:
    """Nothing to compare."""
    Path("mine.cascade").write_text("input A[K, M], B[K, N]\nY[m, n] = A[k, m] * B[k, n]\n", encoding="utf-8")
    assert mistake("run", "matmul", *SMALL, "--against", "mine.cascade") == (
        "error: 'mine' cannot be compared: 'matmul' has no output of the same name\n"
        "hint: compare cascades with the same inputs and outputs\n"
    )


def test_a_reference_with_outputs_of_other_ranks(mistake: Run) -> None:
    """A vector is no matrix."""
    Path("mine.cascade").write_text("input A[K, M], B[K, N]\nZ[m] = A[k, m] * B[k, n]\n", encoding="utf-8")
    assert mistake("run", "matmul", *SMALL, "--against", "mine.cascade") == (
        "error: 'Z' is Z[M, N] here and Z[M] in the reference\nhint: compare cascades with outputs of the same ranks\n"
    )


def stored(path: Path, **arrays: Any) -> str:
    """A file of arrays."""
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"A": np.ones((3, 2))}, "matmul.cascade:6:17: no array for input 'B[K, N]'\n"),
        ({"A": np.ones((3, 2)), "B": np.ones((4, 2))}, "'K'"),
        ({"A": np.ones((3, 2)), "B": np.ones(3)}, "error: input 'B[K, N]' got an array with 1 axis, shape (3,)\n"),
        ({"A": np.ones((3, 2)), "B": np.ones((3, 2)), "C": np.ones(1)}, "this cascade has no input 'C'"),
        ({"A": np.array([["x"]]), "B": np.ones((1, 2))}, "error: input 'A[K, M]' has dtype <U1\n"),
    ],
)
def test_arrays_that_do_not_fit(
    arrays: dict[str, Any], message: str, mistake: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Missing, of other shapes, too many, not numbers."""
    path = stored(tmp_path_factory.mktemp("arrays") / "in.npz", **arrays)
    assert message in mistake("run", "matmul", "--inputs", path)


def test_arrays_of_objects_are_not_unpacked(mistake: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A stored object could run code when it is read, so it is not."""
    path = stored(tmp_path_factory.mktemp("arrays") / "in.npz", A=np.array([object()]))
    message = mistake("run", "matmul", "--inputs", path)
    assert message.startswith(f"error: '{path}' holds no arrays of numbers: ")
    assert message.endswith("\nhint: write it with `numpy.savez`\n")


def test_a_damaged_archive(mistake: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Half a file is told as such."""
    path = Path(stored(tmp_path_factory.mktemp("arrays") / "in.npz", A=np.ones((3, 2)), B=np.ones((3, 2))))
    data = bytearray(path.read_bytes())
    data[40:60] = b"\xff" * 20
    path.write_bytes(bytes(data))
    assert mistake("run", "matmul", "--inputs", str(path)).startswith(f"error: '{path}' ")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
@pytest.mark.parametrize("arguments", [["run", "matmul", *SMALL, "--out"], ["graph", "matmul", "--out"]])
def test_a_folder_that_may_not_be_written(arguments: list[str], mistake: Run) -> None:
    """Nothing can be left where nothing can be written."""
    Path("folder").chmod(0o500)
    name = "folder/a.npz" if arguments[0] == "run" else "folder/a.svg"
    assert mistake(*arguments, name) == (
        f"error: '{name}' cannot be written: permission denied\nhint: check the folder and the disk\n"
    )


@pytest.mark.parametrize(
    "arguments", [["run", "matmul", *SMALL, "--out", "a.npz"], ["graph", "matmul", "--out", "a.svg"]]
)
def test_a_place_that_refuses_new_files(arguments: list[str], mistake: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for any user, with a system that says no."""

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert mistake(*arguments) == (
        f"error: '{arguments[-1]}' cannot be written: permission denied\nhint: check the folder and the disk\n"
    )


# ----------------------------------------------------------------------------------------------------- graph, fmt, others


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["graph", "matmul"], "missing option '--out'\nhint: `fusemax graph --help` shows how it is used\n"),
        (["graph", "matmul", "--out", "x.gif"], "'x.gif' does not end in .svg or .png or .pdf\nhint: name it x.svg\n"),
        (
            ["graph", "matmul", "--out", "folder"],
            "'folder' is a folder\nhint: name a file in it, such as folder/out.svg\n",
        ),
        (
            ["graph", "matmul", "--out", "no/x.svg"],
            "'no/x.svg' cannot be written: no folder 'no'\nhint: name a file in a folder that exists\n",
        ),
        (
            ["graph", "matmul", "--out", "x.svg", "--rank", "Z"],
            "no Einsum traverses a rank 'Z'\nhint: its ranks are 'K', 'M' and 'N'\n",
        ),
        (
            ["fmt", "matmul", "--write"],
            "'matmul' is not a cascade file that can be rewritten\nhint: name a file, or leave out --write\n",
        ),
        (
            ["completion"],
            "missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish\nhint: `fusemax completion --help` shows how it is used\n",
        ),
        (
            ["completion", "tcsh"],
            "invalid value for '{bash|zsh|fish}': 'tcsh' is not one of 'bash', 'zsh', 'fish'\n"
            "hint: `fusemax completion --help` shows how it is used\n",
        ),
        (["analyse", "matmul"], "no such command 'analyse'\nhint: did you mean 'analyze'?\n"),
        (["frobnicate"], "no such command 'frobnicate'\nhint: `fusemax --help` shows how it is used\n"),
        (["--nope"], "no such option '--nope'\nhint: `fusemax --help` shows how it is used\n"),
        (["--hlp"], "no such option '--hlp'\nhint: did you mean '--help'?\n"),
        (["--versoin"], "no such option '--versoin'\nhint: did you mean '--version'?\n"),
        (["analyze"], "missing argument 'NAME|FILE'\nhint: `fusemax analyze --help` shows how it is used\n"),
        (["check"], "missing argument 'NAME|FILE...'\nhint: `fusemax check --help` shows how it is used\n"),
        (
            ["analyze", "matmul", "extra"],
            "got unexpected extra argument (extra)\nhint: `fusemax analyze --help` shows how it is used\n",
        ),
        (
            ["list", "extra"],
            "got unexpected extra argument (extra)\nhint: `fusemax list --help` shows how it is used\n",
        ),
        (["analyze", "matmul", "--shap", "M=4"], "no such option '--shap'\nhint: did you mean '--shape'?\n"),
        (
            ["run", "matmul", "--tile", "M=4"],
            "no such option '--tile'\nhint: `fusemax run --help` shows how it is used\n",
        ),
        (
            ["analyze", "matmul", "--shape"],
            "option '--shape' requires an argument\nhint: `fusemax analyze --help` shows how it is used\n",
        ),
        (
            ["analyze", "matmul", "--json=yes"],
            "option '--json' does not take a value\nhint: `fusemax analyze --help` shows how it is used\n",
        ),
    ],
)
def test_other_mistakes(arguments: list[str], message: str, mistake: Run) -> None:
    """Commands, options and arguments that are missing, unknown or too many; the nearest is offered."""
    assert mistake(*arguments) == f"error: {message}"


def test_a_yaml_file_is_not_rewritten(mistake: Run) -> None:
    """The canonical text of a TeAAL file is a cascade, and would not be one there."""
    path = Path("folder") / "a.yaml"
    path.write_text("einsum: {declaration: {A: [K]}, expressions: ['Z = A[k]']}", encoding="utf-8")
    assert mistake("fmt", "--write", str(path)) == (
        "error: 'folder/a.yaml' is not a cascade file that can be rewritten\nhint: name a file, or leave out --write\n"
    )


@pytest.mark.parametrize("package", ["igraph", "matplotlib"])
def test_pictures_without_their_packages(package: str, mistake: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to get them."""
    there = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == package:
            raise ImportError(f"No module named '{package}'", name=package)
        return there(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert mistake("graph", "matmul", "--out", "x.svg") == (
        f"error: pictures need {package}, which is not installed\nhint: pip install 'fusemax[plot]'\n"
    )


def test_a_cascade_of_scalars_has_no_picture(mistake: Run) -> None:
    """Nothing is traversed."""
    Path("mine.cascade").write_text("input A[]\nZ = A * A\n", encoding="utf-8")
    assert mistake("graph", "mine.cascade", "--out", "x.svg") == (
        "error: a cascade of scalars has no passes to draw\nhint: draw one with a rank\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [["analyze", "nope"], ["nope"], ["check", "-"], ["run", "matmul"], ["analyze", "matmul", "--buffer", "x"]],
)
def test_real_processes_fail_alike(arguments: list[str]) -> None:
    """Status 1, a message on standard error, nothing on standard output, no traceback, no colours in a file."""
    finished = ran(*FUSEMAX, *arguments, text="Z[m = A[m]")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert "hint: " in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "\x1b" not in finished.stderr
