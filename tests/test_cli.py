"""Every command and flag of the command line; mistakes are in test_cli_mistakes.py."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from click.shell_completion import CompletionItem, ShellComplete

from fusemax import __version__
from fusemax.cli import group, run
from tests.conftest import Golden
from tests.processes import FUSEMAX, computed_s, ran, started, wait_until

Ran = tuple[int, str, str]
Run = Callable[..., Ran]
SMALL = ("--shape", "M=4,N=5,K=6")
QUERIES = ("--shape", "B=2,H=3,E=4,F=5,M=8,M0=4,P=6")


@pytest.fixture
def fusemax(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`fusemax("list")`: exit status, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str) -> Ran:
        status = run(list(arguments))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


# --------------------------------------------------------------------------------------------------------------- help


def test_help(fusemax: Run, golden: Golden) -> None:
    """The commands, each in one line; without any argument it is the same."""
    status, out, err = fusemax("--help")
    golden(out, "cli/help.txt")
    assert (status, err) == (0, "")
    assert "..." not in out.replace("[ARGS]...", "")
    assert fusemax() == fusemax("-h") == (0, out, "")


@pytest.mark.parametrize("command", ["analyze", "check", "completion", "fmt", "graph", "list", "run"])
def test_help_of_commands(command: str, fusemax: Run, golden: Golden) -> None:
    """The arguments and options of each command."""
    status, out, err = fusemax(command, "--help")
    golden(out, f"cli/help-{command}.txt")
    assert (status, err) == (0, "")


def test_version(fusemax: Run) -> None:
    """The version of the package."""
    assert fusemax("--version") == (0, f"fusemax, version {__version__}\n", "")


# --------------------------------------------------------------------------------------------------------------- list


def test_list_as_json(fusemax: Run) -> None:
    """Everything that is shipped, by kind and name."""
    status, out, err = fusemax("list", "--json")
    data = json.loads(out)
    assert (status, err) == (0, "")
    assert {"cascades", "workloads", "architectures"} <= data.keys()
    assert data["cascades"]["matmul"].startswith("Matrix multiplication")
    assert data["workloads"]["bert"]["shapes"]["E"] == 64
    assert data["architectures"].keys() >= {"fusemax-cloud"}


def test_list_as_text(fusemax: Run) -> None:
    """A table of each kind, with all names of the JSON."""
    status, out, err = fusemax("list")
    data = json.loads(fusemax("list", "--json")[1])
    names = {line.split()[0] for line in out.splitlines() if line.startswith("  ")}
    assert (status, err) == (0, "")
    assert all(name in names for kind in data.values() for name in kind)


# -------------------------------------------------------------------------------------------------------------- check


def test_check(fusemax: Run, tmp_path: Path) -> None:
    """The summary of a cascade, with its notes, is on standard output."""
    assert fusemax("check", "matmul", "cascade-1") == (
        0,
        "matmul: ok, 1 Einsum, A, B -> Z\ncascade-1: ok, 2 Einsums, A, B -> Z\n",
        "",
    )
    (tmp_path / "a.cascade").write_text("Z[m] = A[m]\n", encoding="utf-8")
    status, out, err = fusemax("check", str(tmp_path / "a.cascade"))
    assert (status, err) == (0, "")
    assert out == (
        f"{tmp_path}/a.cascade: ok, 1 Einsum, A -> Z\n"
        "note: inferred as inputs, for no Einsum writes them: 'A'\n"
        "hint: declare them, so that a misspelt tensor is an error: `input A[M]`\n"
    )


def test_check_as_json(fusemax: Run, tmp_path: Path) -> None:
    """One object a file, with problems and notes, each with its place."""
    (tmp_path / "a.cascade").write_text("input A[M]\n\nZ[m] = A[m] * B[m]\n", encoding="utf-8")
    status, out, err = fusemax("check", "--json", "matmul", str(tmp_path / "a.cascade"), "nope")
    data = json.loads(out)
    assert (status, err) == (1, "")
    assert data[0] == {"file": "matmul", "ok": True, "problems": [], "notes": []}
    assert [data[1]["ok"], data[1]["notes"]] == [False, []]
    (problem,) = data[1]["problems"]
    assert (problem["line"], problem["column"]) == (3, 15)
    assert problem["message"] == "tensor 'B' is read but never written or declared"
    assert data[2]["problems"] == [
        {
            "message": "no file and no shipped cascade 'nope'",
            "line": None,
            "column": None,
            "hint": "`fusemax list` shows what is shipped",
        }
    ]


def test_check_reads_standard_input() -> None:
    """`-` is standard input."""
    finished = ran(*FUSEMAX, "check", "-", text="input A[M]\nZ[m] = A[m]\n")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "-: ok, 1 Einsum, A -> Z\n", "")


# ---------------------------------------------------------------------------------------------------------------- fmt

UNTIDY = "# a remark\nZ_{m}=A_{m,k}·B_{k} :: ⋀_k ×(∩) ⋁_k +(∪)  # behind\n"
TIDY = "# a remark\nZ[m] = A[m, k] * B[k]  # behind\n"


def test_fmt(fusemax: Run, tmp_path: Path) -> None:
    """The canonical text on standard output; the file stays as it is."""
    path = tmp_path / "a.cascade"
    path.write_text(UNTIDY, encoding="utf-8")
    assert fusemax("fmt", str(path)) == (0, TIDY, "")
    assert path.read_text(encoding="utf-8") == UNTIDY


def test_fmt_check(fusemax: Run, tmp_path: Path) -> None:
    """Nothing on standard output; 1 if the text is not canonical."""
    path = tmp_path / "a.cascade"
    path.write_text(UNTIDY, encoding="utf-8")
    message = f"{path} is not in canonical form\nhint: `fusemax fmt --write {path}` makes it so\n"
    assert fusemax("fmt", "--check", str(path)) == (1, "", message)
    path.write_text(TIDY, encoding="utf-8")
    assert fusemax("fmt", "--check", str(path)) == (0, "", "")


def test_fmt_write(fusemax: Run, tmp_path: Path) -> None:
    """The canonical text goes back to the file, which keeps its rights; doing it again changes nothing."""
    path = tmp_path / "a.cascade"
    path.write_text(UNTIDY, encoding="utf-8")
    path.chmod(0o640)
    assert fusemax("fmt", "--write", str(path)) == (0, "", "")
    assert path.read_text(encoding="utf-8") == TIDY
    assert path.stat().st_mode & 0o777 == 0o640
    before = path.stat().st_mtime_ns
    assert fusemax("fmt", "--write", str(path)) == (0, "", "")
    assert path.stat().st_mtime_ns == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.cascade"]


# ------------------------------------------------------------------------------------------------------------ analyze


def test_analyze(fusemax: Run, golden: Golden) -> None:
    """The report of the analysis, as `print(analyze(...))` gives it."""
    status, out, err = fusemax("analyze", "attention-3pass")
    golden(out, "analyze/attention-3pass.txt")
    assert (status, err) == (0, "")


def test_analyze_with_everything(fusemax: Run, golden: Golden) -> None:
    """Shapes, tiles, a buffer, words, a machine."""
    sizes = ("--shape", "B=64,H=12,E=64,F=64", "--shape", "M=64K", "P=64k", "--tile", "P=256")
    status, out, err = fusemax(
        "analyze", "attention-1pass", *sizes, "--buffer", "16 KiB", "--word", "16bit", "--arch", "fusemax-cloud"
    )
    golden(out, "analyze/attention-1pass-all.txt")
    assert (status, err) == (0, "")


def test_analyze_a_model_at_a_length(fusemax: Run) -> None:
    """A model gives all shapes, its length the sequence; a shape that is given wins."""
    data = json.loads(
        fusemax("analyze", "attention-3pass", "--model", "bert", "--seq", "4K", "--shape", "B=1", "--json")[1]
    )
    assert data["shapes"] == {"B": 1, "H": 12, "E": 64, "F": 64, "M": 4096, "P": 4096}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--shape", "M=4,N=5,K=1K", "matmul"],
        ["--shape", "M=4", "--shape", "N=5", "--shape", "K=1024", "matmul"],
        ["matmul", "--shape", "M=4", "N=5", "K=1k"],
        ["matmul", "--shape=M=4", "N=5", "K=1024"],
        ["matmul", "--shape", "M=4, N=5,  K=1024"],
        ["matmul", "--shape", "M=4,M=4", "N=5", "K=1024"],
        ["--shape", "M=4", "N=5", "K=1024", "--", "matmul"],
    ],
)
def test_shapes_in_all_spellings(arguments: list[str], fusemax: Run) -> None:
    """With commas, with blanks, repeated, before and behind the name."""
    status, out, err = fusemax("analyze", "--json", *arguments)
    assert (status, err) == (0, "")
    assert json.loads(out)["shapes"] == {"M": 4, "N": 5, "K": 1024}


def test_tiles_in_all_spellings(fusemax: Run) -> None:
    """Tiles are written as shapes are."""
    one = fusemax("analyze", "attention-3pass", "--json", "--tile", "P=4,H=2")
    assert one == fusemax("analyze", "attention-3pass", "--json", "--tile", "P=4", "H=2")
    assert one == fusemax("analyze", "attention-3pass", "--json", "--tile", "P=4", "--tile=H=2")
    assert json.loads(one[1])["passes"]["M"]["footprint"] == "8*M"


def test_analyze_with_a_buffer_and_words(fusemax: Run) -> None:
    """M words of 4 byte into 64 KiB."""
    arguments = ("analyze", "attention-3pass", "--shape", "M=16K", "--json", "--buffer", "64KiB")
    data = json.loads(fusemax(*arguments, "--word", "4 byte")[1])
    assert data["passes"]["M"]["buffer"] == {"fits": True, "footprint_bytes": 65536, "extra_dram_bytes": 0}
    assert (data["word_bits"], data["buffer_bytes"]) == (32, 65536)


def test_analyze_explains(fusemax: Run, golden: Golden) -> None:
    """One rank, in sentences; its name in any case."""
    status, out, err = fusemax("analyze", "attention-3pass", "--explain", "m")
    golden(out, "analyze/attention-3pass-explained.txt")
    assert (status, err) == (0, "")
    assert fusemax("analyze", "attention-3pass", "--explain", "M")[1] == out


def test_analyze_as_json(fusemax: Run, golden: Golden) -> None:
    """The JSON of docs/json.md."""
    shapes = ("--shape", "B=2,H=3,E=8,F=4,M=512,P=16", "--buffer", "1KiB")
    status, out, err = fusemax("analyze", "attention-3pass", "--json", *shapes)
    golden(out, "analyze/attention-3pass.json")
    assert (status, err) == (0, "")


def test_notes_go_to_standard_error(fusemax: Run, tmp_path: Path) -> None:
    """So that the report can be piped."""
    path = tmp_path / "a.cascade"
    path.write_text("input A[I]\nR[i+1] = R[i] + A[i]\nZ = R[I]\n", encoding="utf-8")
    status, out, err = fusemax("analyze", str(path))
    assert status == 0
    assert out.startswith("a: A -> Z\n")
    assert err.startswith(f"note: {path}:2:1: iterative 'R' has no initial value\n")


def test_a_terminal_sets_the_width(fusemax: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal tables fold to its columns; anywhere else they are as wide as they are."""
    wide = fusemax("analyze", "attention-1pass")[1]
    assert max(map(len, wide.splitlines())) > 80
    monkeypatch.setattr("fusemax.cli.output.width", lambda: 80)
    for arguments in (["analyze", "attention-1pass"], ["list"], ["analyze", "attention-1pass", "--explain", "M0"]):
        assert max(map(len, fusemax(*arguments)[1].splitlines())) <= 80


# ---------------------------------------------------------------------------------------------------------------- run


def test_run(fusemax: Run, golden: Golden) -> None:
    """The outputs in a few numbers, and how far they are from a reference."""
    status, out, err = fusemax("run", "attention-1pass", *QUERIES, "--against", "attention", "--tolerance", "1e-9")
    assert (status, err) == (0, "")
    body, difference = out.rsplit("\n  largest difference", 1)
    golden(f"{body}\n", "cli/run.txt")
    assert float(difference.split(": ")[1].split(",")[0]) < 1e-12


def test_run_as_json(fusemax: Run) -> None:
    """The keys of docs/json.md; the same seed gives the same numbers, another one others."""
    arguments = ("run", "matmul", *SMALL, "--json")
    data = json.loads(fusemax(*arguments)[1])
    assert set(data) == {"cascade", "against", "shapes", "seed", "outputs", "difference"}
    assert set(data["outputs"][0]) == {"name", "ranks", "shape", "min", "mean", "max", "not_finite", "difference"}
    assert (data["shapes"], data["seed"]) == ({"K": 6, "M": 4, "N": 5}, 0)
    assert data == json.loads(fusemax(*arguments, "--seed", "0")[1])
    assert data["outputs"] != json.loads(fusemax(*arguments, "--seed", "1")[1])["outputs"]


def test_run_stores_and_reads(fusemax: Run, tmp_path: Path) -> None:
    """Another run can read the arrays that a run stores, and takes the sizes from them."""
    inputs, outputs = tmp_path / "in.npz", tmp_path / "out.npz"
    a, b = np.arange(6.0).reshape(3, 2), np.arange(12.0).reshape(3, 4)
    np.savez(inputs, A=a, B=b)
    status, out, err = fusemax("run", "matmul", "--inputs", str(inputs), "--out", str(outputs))
    assert (status, err) == (0, "")
    assert out.startswith("matmul on K=3, M=2, N=4; inputs from a file\n")
    with np.load(outputs) as stored:
        assert stored.files == ["Z"]
        np.testing.assert_allclose(stored["Z"], a.T @ b)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npz", "out.npz"]


def test_a_difference_beyond_the_tolerance_fails(fusemax: Run) -> None:
    """The report is printed all the same."""
    arguments = ("run", "attention-sigmoid", *QUERIES[:1], "B=2,H=3,E=4,F=5,M=8,P=6", "--against", "attention")
    status, out, err = fusemax(*arguments, "--tolerance", "0.001")
    assert status == 1
    assert "largest difference to attention" in out
    assert err.startswith("error: the difference ")
    assert err.endswith(" is larger than 0.001\n")
    assert fusemax(*arguments, "--tolerance", "1000")[0] == 0
    assert fusemax(*arguments)[0] == 0


# -------------------------------------------------------------------------------------------------------------- graph


@pytest.mark.parametrize(("suffix", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_graph(suffix: str, begins: bytes, fusemax: Run, tmp_path: Path) -> None:
    """A picture, whose suffix says what it is."""
    path = tmp_path / f"a.{suffix}"
    assert fusemax("graph", "attention-3pass", "--out", str(path)) == (0, f"wrote {path}: passes over M\n", "")
    assert path.read_bytes().startswith(begins)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_graph_of_a_rank(fusemax: Run, tmp_path: Path) -> None:
    """The passes over the rank that is asked for."""
    path = tmp_path / "a.svg"
    assert fusemax("graph", "attention-1pass", "--out", str(path), "--rank", "m")[1] == f"wrote {path}: passes over M\n"


# --------------------------------------------------------------------------------------------------------- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, fusemax: Run) -> None:
    """A script that asks fusemax itself what fits."""
    status, out, err = fusemax("completion", shell)
    assert (status, err) == (0, "")
    assert "_FUSEMAX_COMPLETE" in out


def completed(*words: str) -> list[str]:
    """The completions of the last word."""
    found = ShellComplete(group, {}, "fusemax", "_FUSEMAX_COMPLETE").get_completions(list(words[:-1]), words[-1])
    assert all(isinstance(item, CompletionItem) for item in found)
    return [item.value for item in found if item.type == "plain"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["an"], ["analyze"]),
        (["analyze", "matm"], ["matmul"]),
        (["analyze", "attention-3"], ["attention-3pass", "attention-3pass-deferred"]),
        (["analyze", "matmul", "--model", "be"], ["bert"]),
        (["analyze", "matmul", "--arch", "fusemax-"], ["fusemax-cloud"]),
        (["run", "matmul", "--against", "attention-mla"], ["attention-mla"]),
        (["check", "matmul", "cascade-"], ["cascade-1", "cascade-2", "cascade-3"]),
        (["analyze", "--exp"], ["--explain"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ],
)
def test_names_are_completed(words: list[str], expected: list[str]) -> None:
    """Commands, options and shipped names."""
    assert completed(*words) == expected


def test_completion_of_a_real_shell() -> None:
    """The way bash asks: by the environment; files are offered as well."""
    environment = {
        **os.environ,
        "_FUSEMAX_COMPLETE": "bash_complete",
        "COMP_WORDS": "fusemax analyze matm",
        "COMP_CWORD": "2",
    }
    program = "import sys; from fusemax.cli import group; group.main(prog_name='fusemax')"
    finished = ran(sys.executable, "-c", program, env=environment)
    assert finished.stdout == "plain,matmul\nfile,matm\n"


# ------------------------------------------------------------------------------------------------- processes, real ones


def test_a_module_and_a_script_are_the_same() -> None:
    """`python -m fusemax` runs the command line."""
    finished = ran(*FUSEMAX, "--version")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, f"fusemax, version {__version__}\n", "")


def test_a_reader_that_leaves() -> None:
    """A broken pipe ends the command without a word."""
    end, start = os.pipe()
    os.close(end)
    with started(*FUSEMAX, "analyze", "encoder-layer", "--json", stdout=start) as process:
        os.close(start)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk() -> None:
    """Output that cannot be written is told in one line."""
    with Path("/dev/full").open("w") as full:
        finished = ran(*FUSEMAX, "list", stdout=full)
    assert (finished.returncode, finished.stderr) == (
        1,
        "error: the output cannot be written: no space left on device\n",
    )


def test_closed_standard_streams() -> None:
    """Whoever closes standard output wants none; that is no error."""
    script = f"exec {sys.executable} -m fusemax analyze matmul >&- <&-"
    finished = ran("sh", "-c", script)
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["analyze", "matmul", "--no-such-option"],
        ["no-such-command"],
        ["evaluate"],
        ["evaluate", "--mapping", "linear", "--shape", "M=4", "K=4", "N=4", "--accounting", "half"],
        ["run", "attention", "--shape", "B=1", "H=1", "E=2", "F=2", "M=4", "P=4", "--against", "attention-sigmoid", "--tolerance", "0"],
        ["compare", "flat", "linear", "--shape", "B=1", "H=1", "E=4", "F=4", "M=4", "P=4"],
    ],
    ids=["option", "command", "missing", "value", "numbers", "cell"],
)  # fmt: skip
def test_mistakes_exit_with_1(fusemax: Run, arguments: list[str]) -> None:
    """Usage, wrong numbers and a mapping that does not fit all end with 1, never with click's 2."""
    assert fusemax(*arguments)[0] == 1


@pytest.mark.slow
def test_a_signal() -> None:
    """A command that is terminated exits with 128 and the number of the signal."""
    shapes = "B=4,H=8,E=64,F=64,M=4096,P=4096"
    with started(*FUSEMAX, "run", "attention", "--shape", shapes) as process:
        wait_until(lambda: computed_s(process) > 1.5, process)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.slow
def test_an_interrupt() -> None:
    """Ctrl-C ends the command with 130 and without a traceback."""
    shapes = "B=4,H=8,E=64,F=64,M=2048,P=2048"
    with started(*FUSEMAX, "run", "attention", "--shape", shapes) as process:
        wait_until(lambda: computed_s(process) > 1.5, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "interrupted")


def test_an_interrupt_in_process(fusemax: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it comes, the status is 130."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fusemax.commands.analyzed", interrupted)
    status, out, err = fusemax("analyze", "matmul")
    assert (status, out, err.strip()) == (130, "", "interrupted")


def test_what_is_not_needed_is_not_loaded() -> None:
    """Help loads none of the libraries, an analysis neither NumPy nor pint."""
    heavy = "{'sympy', 'numpy', 'pint', 'lark', 'networkx', 'yaml', 'matplotlib'}"
    program = f"import sys; from fusemax.cli import run; run(sys.argv[1:]); print(sorted({heavy} & sys.modules.keys()))"
    for arguments, loaded in ((["--help"], set()), (["analyze", "attention-1pass"], {"sympy", "lark"})):
        finished = ran(sys.executable, "-c", program, *arguments)
        assert finished.returncode == 0, finished.stderr
        found = set(json.loads(finished.stdout.splitlines()[-1].replace("'", '"')))
        assert found - {"networkx"} == loaded


def test_click_is_what_it_is() -> None:
    """Every command has a line of its own in the help, which is not cut."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert command.short_help is not None
        assert len(command.short_help) <= 64
