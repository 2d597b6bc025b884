"""The result of a run: its outputs in numbers, and their differences to a reference."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fusemax.errors import FusemaxError, listed
from fusemax.ir.checked import Checked
from fusemax.units import readable_number
from fusemax.validate.shapes import shape_names
from fusemax.view import Json, Record, Result, Table

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fusemax.reference import Array


@dataclass(frozen=True, slots=True)
class Output:
    """One output in a few numbers; `difference` is the largest to the reference, absolute."""

    name: str
    ranks: tuple[str, ...]
    shape: tuple[int, ...]
    least: float
    mean: float
    largest: float
    not_finite: int
    difference: float | None


@dataclass(frozen=True, slots=True)
class RunResult(Result):
    """A run: the cascade, its sizes, and its outputs."""

    first_column: ClassVar[str] = "output"
    cascade: str
    against: str | None
    sizes: Mapping[str, int]
    seed: int | None
    seconds: float
    outputs: tuple[Output, ...]

    @property
    def difference(self) -> float | None:
        """The largest difference of all outputs to the reference; infinite if one is NaN where the other is not."""
        found = [output.difference for output in self.outputs if output.difference is not None]
        return max(found) if found else None

    def records(self) -> list[Record]:
        """A row for each output."""
        return [
            {
                "output": o.name, "ranks": " ".join(o.ranks), "shape": " x ".join(map(str, o.shape)), "min": o.least,
                "mean": o.mean, "max": o.largest, "not_finite": o.not_finite, "difference": o.difference,
            }
            for o in self.outputs
        ]  # fmt: skip

    def to_json(self) -> Json:
        """The run as JSON data; numbers that are not finite are null."""
        return {
            "cascade": self.cascade,
            "against": self.against,
            "shapes": dict(self.sizes),
            "seed": self.seed,
            "outputs": [
                {
                    "name": o.name,
                    "ranks": list(o.ranks),
                    "shape": list(o.shape),
                    "min": _finite(o.least),
                    "mean": _finite(o.mean),
                    "max": _finite(o.largest),
                    "not_finite": o.not_finite,
                    "difference": _finite(o.difference),
                }
                for o in self.outputs
            ],
            "difference": _finite(self.difference),
        }

    def tables(self) -> Iterator[Table]:
        """A row for each output, and their largest difference to the reference."""
        sizes = ", ".join(f"{rank}={size}" for rank, size in self.sizes.items())
        inputs = "inputs from a file" if self.seed is None else f"random inputs, seed {self.seed}"
        headers = ("output", "shape", "min", "mean", "max")
        rows = tuple(
            (
                f"{o.name}[{', '.join(o.ranks)}]" if o.ranks else o.name,
                " x ".join(map(str, o.shape)) or "scalar",
                *map(_short, (o.least, o.mean, o.largest)),
            )
            for o in self.outputs
        )
        below = [
            f"{o.name} holds {readable_number(o.not_finite)} values that are not finite"
            for o in self.outputs
            if o.not_finite
        ]
        if self.difference is not None:
            where = max(self.outputs, key=lambda o: -1.0 if o.difference is None else o.difference)
            below.append(f"largest difference to {self.against}: {self.difference:.3g}, in {where.name}")
        yield Table(f"{self.cascade} on {sizes or 'scalars'}; {inputs}", headers, rows, tuple(below), right=(2, 3, 4))


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < float("inf") else None


def _short(value: float) -> str:
    return f"{value:.6g}"


def summarize(name: str, ranks: tuple[str, ...], array: Array, reference: Array | None) -> Output:
    """An output array in a few numbers; values that are not finite are counted and left out of them."""
    import numpy as np

    finite = array[np.isfinite(array)]
    numbers = (
        (float(np.min(finite)), float(np.mean(finite)), float(np.max(finite))) if finite.size else (float("nan"),) * 3
    )
    difference = None if reference is None else largest_difference(array, reference)
    return Output(name, ranks, array.shape, *numbers, int(array.size - finite.size), difference)


def largest_difference(a: Array, b: Array) -> float:
    """The largest absolute difference; equal infinities and NaN at the same place differ by nothing.

    >>> import numpy as np
    >>> largest_difference(np.array([1.0, np.inf]), np.array([1.5, np.inf]))
    0.5
    """
    import numpy as np

    with np.errstate(invalid="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0))


def stored(path: Path) -> dict[str, ArrayLike]:
    """The arrays of a `.npz` file."""
    if not path.exists():
        raise FusemaxError(f"no file '{path}'", "name a file that `numpy.savez` wrote")
    try:
        if not path.is_file() or not zipfile.is_zipfile(path):
            raise FusemaxError(f"'{path}' is not a .npz file", "write it with `numpy.savez`")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except OSError as error:
        raise FusemaxError(
            f"'{path}' cannot be read: {(error.strerror or str(error)).lower()}", "check the path"
        ) from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise FusemaxError(
            f"'{path}' holds no arrays of numbers: {str(error).splitlines()[0]}", "write it with `numpy.savez`"
        ) from None


def reference_outputs(
    checked: Checked, reference: Checked, arrays: Mapping[str, ArrayLike], sizes: Mapping[str, int]
) -> dict[str, Array]:
    """The outputs of the reference on the same inputs; it must have inputs and outputs in common with the cascade."""
    from fusemax.reference import execute

    missing = [tensor.name for tensor in reference.inputs if tensor.name not in arrays]
    shared = [t.name for t in reference.outputs if t.name in {o.name for o in checked.outputs}]
    if missing or not shared:
        what = f"no input {listed(missing)}" if missing else "no output of the same name"
        raise FusemaxError(f"'{reference.cascade.name}' cannot be compared: '{checked.cascade.name}' has {what}",
                           "compare cascades with the same inputs and outputs")  # fmt: skip
    known = set(shape_names(reference))
    wanted = {tensor.name: arrays[tensor.name] for tensor in reference.inputs}
    results = execute(reference, wanted, {rank: size for rank, size in sizes.items() if rank in known})
    _same_shapes(checked, reference, shared)
    return {name: results[name] for name in shared}


def _same_shapes(checked: Checked, reference: Checked, names: Iterable[str]) -> None:
    for name in names:
        mine, other = checked.tensors[name], reference.tensors[name]
        if len(mine.ranks) != len(other.ranks) or (mine.iterative is None) != (other.iterative is None):
            message = f"'{name}' is {name}[{', '.join(mine.ranks)}] here and {name}[{', '.join(other.ranks)}] in the reference"
            raise FusemaxError(message, "compare cascades with outputs of the same ranks")
