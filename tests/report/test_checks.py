"""The report of `fusemax check`, as text and as JSON."""

from __future__ import annotations

from pathlib import Path

from fusemax.report.checks import checked_file


def test_a_cascade_without_mistakes() -> None:
    """How many Einsums, from what to what."""
    report = checked_file("matmul")
    assert (report.summary, report.problems, report.notes) == ("matmul: ok, 1 Einsum, A, B -> Z", (), ())
    assert report.to_json() == {"file": "matmul", "ok": True, "problems": [], "notes": []}
    assert checked_file("attention-3pass").summary == "attention-3pass: ok, 6 Einsums, Q, K, V -> AV"


def test_a_cascade_without_inputs(tmp_path: Path) -> None:
    """A cascade may compute something from nothing."""
    path = tmp_path / "a.cascade"
    path.write_text("shape M = 4\noutput Z[M]\nZ[m] = m + 1\n", encoding="utf-8")
    assert checked_file(str(path)).summary == f"{path}: ok, 1 Einsum, no input -> Z"


def test_a_cascade_with_mistakes_and_places(tmp_path: Path) -> None:
    """Each problem with its line and column, from 1, and what to do."""
    path = tmp_path / "a.cascade"
    path.write_text("input A[M]\nZ[m] = A[m] * exq(A[m])\nY[m] = A[m, m]\n", encoding="utf-8")
    report = checked_file(str(path))
    assert report.summary == f"{path}: not a cascade"
    data = report.to_json()
    assert data["ok"] is False
    assert [(p["line"], p["column"]) for p in data["problems"]] == [(2, 15), (3, 8)]
    assert data["problems"][0]["hint"] == "did you mean 'exp'?"
    assert data["notes"] == []


def test_notes_have_places_too(tmp_path: Path) -> None:
    """A remark points at what it is about."""
    path = tmp_path / "a.cascade"
    path.write_text("input A[M], X[M]\nF[m: m < 2] = A[m]\nZ[m] = F[m] * X[m]\n", encoding="utf-8")
    report = checked_file(str(path))
    assert report.problems == ()
    assert [note["line"] for note in report.to_json()["notes"]] == [3]
