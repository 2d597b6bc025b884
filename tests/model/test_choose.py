"""Which parameters a mapping gets."""

from pathlib import Path

import pytest

from fusemax import load_mapping
from fusemax.bind.parameters import chosen_for, value_of_text
from fusemax.errors import FusemaxError

TEXT = """\
mapping mine(rows = P, kept = QK A, share = 0)
cascade attention-3pass
arch flat-cloud
choose from mine.csv by {by}
for b: on array1d: GM
"""


def mine(folder: Path, by: str, table: str) -> str:
    """A mapping file with a table beside it."""
    (folder / "mine.csv").write_text(table, encoding="utf-8")
    (folder / "mine.mapping").write_text(TEXT.format(by=by), encoding="utf-8")
    return str(folder / "mine.mapping")


@pytest.mark.parametrize("written", ["65536", "64K", "64k", " 64K "])
def test_lengths_as_people_write_them(tmp_path: Path, written: str) -> None:
    """A table may have its lengths as integers or with K or M, and its models in any case."""
    mapping = load_mapping(mine(tmp_path, "model, seq", f"model,seq,rows,kept,share\nBERT,{written},1K,Q AV,0.5\n"))
    chosen = chosen_for(mapping, "bert", 65536)
    assert chosen.values == {"rows": 1024, "kept": ("Q", "AV"), "share": 0.5}
    assert chosen.remark is None


def test_by_the_model_alone(tmp_path: Path) -> None:
    """A table need not choose by everything."""
    mapping = load_mapping(mine(tmp_path, "model", "model,kept\nbert,()\n"))
    assert chosen_for(mapping, "bert", 1).values == {"kept": ()}


def test_no_row(tmp_path: Path) -> None:
    """Without a row the defaults are taken, with a remark."""
    mapping = load_mapping(mine(tmp_path, "model, seq", "model,seq,rows\nbert,1K,256\n"))
    for model, seq, said in (
        ("bert", 4096, "'mine' has no choice for bert 4K: its parameters have their defaults"),
        ("xlm", None, "'mine' has no choice for xlm: its parameters have their defaults"),
        (None, None, "'mine' chooses its parameters by model and seq: without, they have their defaults"),
    ):
        chosen = chosen_for(mapping, model, seq)
        assert (chosen.values, chosen.remark) == ({}, said)


def test_a_mapping_without_a_table() -> None:
    """Who chooses nothing has nothing to remark."""
    chosen = chosen_for(load_mapping("unfused"), "bert", 7)
    assert (chosen.values, chosen.remark) == ({}, None)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("row", "1", "mapping 'flat' has no parameter 'row'\nhint: did you mean 'rows'?"),
        ("zzz", "1", "mapping 'flat' has no parameter 'zzz'\nhint: its parameters are 'rows', 'kept', 'qk', 'av' and 'share'"),
        ("rows", "all", "parameter 'rows' of 'flat': 'all' is not a number\nhint: write a number like 1024, 64K or 0.5"),
        ("rows", "-4", "parameter 'rows' of 'flat': '-4' is not a number\nhint: write a number like 1024, 64K or 0.5"),
        ("share", "inf", "parameter 'share' of 'flat': 'inf' is not a number\nhint: write a number like 1024, 64K or 0.5"),
    ],
)  # fmt: skip
def test_what_is_no_value(name: str, text: str, said: str) -> None:
    """A parameter is one of the mapping's, and its value is of the kind of its default."""
    with pytest.raises(FusemaxError) as error:
        value_of_text(load_mapping("flat"), name, text)
    assert str(error.value) == said


def test_a_mapping_without_parameters() -> None:
    """Who has no parameters says so."""
    with pytest.raises(FusemaxError, match="mapping 'unfused' has no parameter 'rows'\nhint: it has no parameters"):
        value_of_text(load_mapping("unfused"), "rows", "1")
