"""The shipped files, as tables and as JSON."""

from __future__ import annotations

import json

from fusemax.report.catalog import catalog
from fusemax.resources import names


def test_every_shipped_cascade_says_what_it_is() -> None:
    """The first comment of each file is its line in the list."""
    data = catalog().to_json()
    assert tuple(data["cascades"]) == names("cascades", ".cascade")
    assert all(text for text in data["cascades"].values())


def test_workloads_and_architectures_are_listed() -> None:
    """With titles and shapes, and with the sources of their numbers."""
    data = catalog().to_json()
    assert tuple(data["workloads"]) == names("cascades/workloads", ".yaml")
    assert data["workloads"]["bert"]["title"].startswith("BERT base")
    assert data["workloads"]["bert"]["shapes"]["M"] == 1024
    assert tuple(data["architectures"]) == names("arch", ".yaml")
    assert all(data["architectures"].values())


def test_the_tables_hold_what_the_json_holds() -> None:
    """One table a kind, one row an entry."""
    tables, data = {table.title.split(" ")[0].lower(): table for table in catalog().tables()}, catalog().to_json()
    assert tables.keys() == data.keys()
    for kind, entries in data.items():
        assert [row[0] for row in tables[kind].rows] == list(entries)


def test_a_machine_in_one_line() -> None:
    """Its units, its buffer, its bandwidth."""
    (row,) = [row for table in catalog().tables() for row in table.rows if row[0] == "fusemax-cloud"]
    assert row == ("fusemax-cloud", "array2d 256 x 256, array1d 256", "16 MiB", "400 GiB/s")


def test_the_json_is_json() -> None:
    """Plain data, whose numbers are numbers."""
    assert json.loads(json.dumps(catalog().to_json())) == catalog().to_json()
