"""TeAAL's YAML is the same cascade as the same text."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusemax import FusemaxError, check, load_cascade, parse
from fusemax.syntax.importers.teaal import parse_teaal

SAME = [
    (
        "einsum:\n  declaration:\n    A: [K, M]\n    B: [K, N]\n    Z: [M, N]\n"
        "  expressions:\n    - Z[m, n] = A[k, m] * B[k, n]\n",
        "input A[K, M], B[K, N]\noutput Z[M, N]\nZ[m, n] = A[k, m] * B[k, n]",
    ),
    (
        "# a convolution\neinsum:\n  declaration: {I: [W], F: [S], O: [Q]}\n  expressions: ['O[q] = I[q + s] * F[s]']\n",
        "input I[W], F[S]\noutput O[Q]\nO[q] = I[q + s] * F[s]",
    ),
    (
        "einsum:\n  declaration:\n    Z: [M, N]\n    A: [K, M]\n    T: [K, M, N]\n    B: [K, N]\n  expressions:\n"
        "    - T[k, m, n] = take(A[k, m], B[k, n], 1)\n    - >\n      Z[m, n] =\n        T[k, m, n] * A[k, m]\n",
        "input A[K, M], B[K, N]\noutput Z[M, N]\ntensor T[K, M, N]\n"
        "T[k, m, n] = take(A[k, m], B[k, n], 1)\nZ[m, n] = T[k, m, n] * A[k, m]",
    ),
    (
        "einsum:\n  declaration: {A: [K], Y: [], Z: []}\n  expressions:\n    - Y = A[k]\n    - Z[] = Y *\n        A[k]\n",
        "input A[K]\noutput Z\ntensor Y\nY = A[k]\nZ = Y * A[k]",
    ),
    (
        "einsum:\n  declaration: {\"A'\": [K], Z: []}\n  expressions:\n    - 'Z = A''[k] :: reduce[k] max'\n"
        '    - "Y = Z \\u00b7 2"\n',
        "input A'[K]\ntensor Z\nZ = A'[k] :: reduce[k] max\nY = Z * 2",
    ),
]


@pytest.mark.parametrize(("specification", "text"), SAME)
def test_a_specification_is_the_same_cascade(specification: str, text: str) -> None:
    """A TeAAL specification equals the same text as a cascade file, and means the same."""
    cascade = parse_teaal(specification, "a.yaml")
    assert cascade == parse(text)
    assert parse(str(cascade)) == cascade
    assert check(cascade).tensors == check(parse(text)).tensors


def test_other_sections_are_ignored_with_a_note() -> None:
    """The parts of TeAAL about mapping, format and architecture are left out, with a note."""
    specification = SAME[0][0] + "mapping: {Z: [M, N]}\narchitecture:\n  - [1, 2]\n"
    checked = check(parse_teaal(specification, "a.yaml"))
    assert [note.message for note in checked.notes] == [
        "section 'mapping' of the TeAAL file is ignored",
        "section 'architecture' of the TeAAL file is ignored",
    ]


def test_a_yaml_file_loads(tmp_path: Path) -> None:
    """A file with the extension of YAML is read as TeAAL's."""
    path = tmp_path / "gemm.yaml"
    path.write_text(SAME[0][0], encoding="utf-8")
    cascade = load_cascade(path)
    assert cascade == parse(SAME[0][1])
    assert cascade.name == "gemm"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "x" * 1_000_000, "a YAML file of 1,000,003 characters; the longest that is read has 1,000,000"),
        ("[" * 5_000, "'a.yaml' is nested too deeply"),
        ("a: &a [*a]", "nested more than 50 deep"),
        ("a: *b", "not YAML: found undefined alias 'b'"),
        ("a: \x00", "not YAML: special characters are not allowed"),
        ("--- a\n--- b", "not YAML: but found another document"),
    ],
)
def test_yaml_that_no_person_wrote(text: str, message: str) -> None:
    """Files that are too large, too deep or no YAML are refused."""
    with pytest.raises(FusemaxError) as caught:
        parse_teaal(text, "a.yaml")
    assert [problem.message for problem in caught.value.problems] == [message]


def test_aliases_do_not_explode() -> None:
    """A few lines of aliases that would be millions of nodes are read as what they are."""
    lines = [f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]" for i in range(20)]
    specification = "a0: &a0 [x]\n" + "\n".join(lines) + "\n" + SAME[0][0]
    assert parse_teaal(specification) == parse(SAME[0][1])
