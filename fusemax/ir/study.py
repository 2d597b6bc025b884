"""A study: published values of several mappings, and the models and lengths over which they are evaluated again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Shows(Enum):
    """The quantity of a figure for each mapping, model and length."""

    UTILIZATION = "utilization"
    BREAKDOWN = "breakdown"
    SPEEDUP = "speed-up"
    ENERGY = "energy"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: its number, its quantity, its unit and model if it is of one, and its title."""

    number: str
    shows: Shows
    unit: str | None
    model: str | None
    title: str


@dataclass(frozen=True, slots=True)
class Published:
    """Published values of one run, and how far a right value may be from them, relative."""

    mapping: str
    model: str
    seq: int
    latency_s: float
    dram_bytes: float
    energy_j: float
    utilization: Mapping[str, float]
    energy_tolerance: float
    latency_tolerance: float


@dataclass(frozen=True, slots=True)
class Averages:
    """Published averages of ratios to a mapping, by mapping."""

    over: str
    speedup: Mapping[str, float]
    energy: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SizesStudy:
    """A study of one mapping on machines of several sizes: `dims` elements along every axis.

    `seconds` are published latencies by size, `areas_mm2` published areas by architecture.
    """

    name: str
    title: str
    source: str
    figure: str
    mapping: str
    model: str
    length: int
    dims: tuple[int, ...]
    seconds: Mapping[int, float]
    areas_mm2: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Study:
    """A study; `mappings` has their names in the figures, `baseline` is the mapping to which ratios are relative.

    `end_to_end`: it is about whole encoder layers, not about attention alone.
    """

    name: str
    title: str
    source: str
    accounting: str
    baseline: str
    mappings: Mapping[str, str]
    models: tuple[str, ...]
    lengths: tuple[int, ...]
    figures: tuple[Figure, ...]
    averages: Averages
    values: tuple[Published, ...]
    end_to_end: bool = False
