"""Study files."""

from pathlib import Path

import pytest

from fusemax.errors import FusemaxError
from fusemax.ir.study import Shows
from fusemax.syntax.load import load_study

TEXT = """\
name: s
title: t
source: a paper
accounting: published
baseline: flat
values: s.csv
models: [bert]
lengths: [1K, 512, 1M]
mappings: {flat: FLAT}
figures:
  6a: {shows: utilization, unit: array1d, title: u}
averages:
  over: flat
  speed-up: {flat: 1.0}
  energy: {flat: 1.0}
"""
TABLE = """\
mapping,model,seq,latency_s,dram_bytes,energy_j,util_array2d,energy_tolerance,latency_tolerance
flat,bert,1K,0.5,8,2.5,0.25,0.01,1e-6
"""


def written(folder: Path, text: str) -> Path:
    """A study file with its table."""
    (folder / "s.csv").write_text(TABLE, encoding="utf-8")
    (folder / "s.yaml").write_text(text, encoding="utf-8")
    return folder / "s.yaml"


def test_a_study(tmp_path: Path) -> None:
    """A study has its mappings, models, lengths and figures, and the published values of its table."""
    study = load_study(written(tmp_path, TEXT))
    assert study.lengths == (1024, 512, 2**20)
    assert (study.figures[0].number, study.figures[0].shows) == ("6a", Shows.UTILIZATION)
    (value,) = study.values
    assert (value.mapping, value.model, value.seq, value.utilization) == ("flat", "bert", 1024, {"array2d": 0.25})
    assert study.averages.speedup == {"flat": 1.0}


def test_the_shipped_study_is_complete() -> None:
    """Every published value is of a mapping, model and length of the study."""
    study = load_study("attention")
    assert len(study.values) == 30
    for value in study.values:
        assert value.mapping in study.mappings
        assert value.model in study.models
        assert value.seq in study.lengths


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("shows: utilization", "shows: utilisation", "`shows` is not 'utilisation'"),
        ("models: [bert]", "models: bert", "`models` is not a list"),
        ("title: t\n", "", "a study has no `title`"),
        ("speed-up: {flat: 1.0}", "speed-up: {flat: much}", "not a number"),
        ("lengths: [1K, 512, 1M]", "lengths: [1K, [2]]", "not a single value"),
        ("values: s.csv", "values: other.csv", "cannot be read"),
        ("values: s.csv", "values: s.yaml", "no column"),
        ("lengths: [1K, 512, 1M]", "lengths: [1K, long]", "not a length"),
    ],
)
def test_mistakes(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    """Mistakes in a study file are reported with their place."""
    path = written(tmp_path, TEXT.replace(right, wrong))
    with pytest.raises(FusemaxError) as error:
        load_study(path)
    assert said in error.value.problems[0].message
    assert error.value.problems[0].span is not None


def test_a_table_without_numbers(tmp_path: Path) -> None:
    """A cell that is no number is refused with its line."""
    path = written(tmp_path, TEXT)
    (tmp_path / "s.csv").write_text(TABLE.replace("0.25", "a quarter"), encoding="utf-8")
    with pytest.raises(FusemaxError, match=r"line 2 of 's\.csv' does not hold numbers"):
        load_study(path)


def test_no_such_study() -> None:
    """A study that there is not is refused, with the nearest."""
    with pytest.raises(FusemaxError) as error:
        load_study("atention")
    assert str(error.value) == "no file and no shipped study 'atention'\nhint: did you mean 'attention'?"
