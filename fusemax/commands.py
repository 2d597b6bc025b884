"""From a name and options to a result: the steps of each command, one function a command."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fusemax.errors import FusemaxError
from fusemax.ir.checked import Checked
from fusemax.syntax.load import load_cascade, load_workload
from fusemax.validate import check, solve_shapes
from fusemax.validate.shapes import shape_names

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fusemax.analysis import Analysis
    from fusemax.bind.parameters import Chosen
    from fusemax.ir.arch import Arch
    from fusemax.ir.mapping import Mapping as MappingFile
    from fusemax.mapper.options import SearchOptions
    from fusemax.mapper.pareto import Front
    from fusemax.mapper.result import MapResult
    from fusemax.model.estimate import Estimate
    from fusemax.reference import Array
    from fusemax.report.arch_tree import ShownArch
    from fusemax.report.mapping_tree import ShownMapping
    from fusemax.report.reproduce import Reproduction
    from fusemax.report.runs import RunResult
    from fusemax.report.sizes import SizesReproduction
    from fusemax.sim.trace import Trace
    from fusemax.study.compare import Comparison, Point


def shapes_for(checked: Checked, model: str | None, length: int | None, given: Mapping[str, int]) -> dict[str, int]:
    """The shapes of a model at a length, overruled by those that are given; ranks the cascade lacks are left out."""
    if model is None:
        if length is not None:
            raise FusemaxError("a sequence length without a model", "add --model, or give --shape M=1024 P=1024")
        return dict(given)
    return {**load_workload(model).at(length, shape_names(checked)), **given}


def analyzed(
    name: str,
    *,
    shapes: Mapping[str, int],
    model: str | None = None,
    length: int | None = None,
    tiles: Mapping[str, int] | None = None,
    buffer_bytes: int | None = None,
    word_bits: int = 16,
    arch: str | None = None,
) -> Analysis:
    """Load, check and analyze."""
    from fusemax.analysis import analyze
    from fusemax.syntax.load import load_arch

    cascade = load_cascade(name)
    machine = None if arch is None else load_arch(arch)
    checked = check(cascade, complete=False)
    sizes = shapes_for(checked, model, length, shapes)
    return analyze(checked, sizes, tiles=tiles, buffer_bytes=buffer_bytes, word_bits=word_bits, arch=machine)


def executed(
    name: str,
    *,
    shapes: Mapping[str, int],
    model: str | None = None,
    length: int | None = None,
    seed: int = 0,
    against: str | None = None,
    inputs: Path | None = None,
) -> tuple[RunResult, dict[str, Array]]:
    """Load, check and run on random or stored inputs; compare the outputs with those of a reference cascade."""
    from fusemax.reference import execute, random_inputs
    from fusemax.report.runs import RunResult, reference_outputs, stored, summarize

    checked = check(load_cascade(name))
    reference = None if against is None else check(load_cascade(against))
    sizes = shapes_for(checked, model, length, shapes)
    arrays: Mapping[str, ArrayLike] = (
        stored(inputs) if inputs else random_inputs(checked, solve_shapes(checked, sizes), seed)
    )
    start = time.perf_counter()
    results = execute(checked, arrays, sizes)
    seconds = time.perf_counter() - start
    expected = {} if reference is None else reference_outputs(checked, reference, arrays, sizes)
    outputs = tuple(summarize(t.name, t.ranks, results[t.name], expected.get(t.name)) for t in checked.outputs)
    lengths = dict(zip(_ranks(checked), _lengths(checked, arrays), strict=True))
    report = RunResult(
        checked.cascade.name,
        against,
        solve_shapes(checked, {**sizes, **lengths}),
        None if inputs else seed,
        seconds,
        outputs,
    )
    return report, results


def drawn(name: str, path: Path, rank: str | None) -> str:
    """Load, check, analyze and draw; returns the rank over which the passes are shown."""
    from fusemax.analysis import analyze
    from fusemax.report.drawing import draw
    from fusemax.report.figures import write
    from fusemax.report.graph import picture_of

    picture = picture_of(analyze(check(load_cascade(name), complete=False)), rank)
    write(draw(picture), path)
    return picture.rank


def evaluated(
    name: str,
    *,
    shapes: Mapping[str, int],
    model: str | None = None,
    length: int | None = None,
    arch: str | None = None,
    settings: Mapping[str, str] | None = None,
    accounting: str = "full",
) -> Estimate:
    """Load a mapping with its cascade and architecture, choose its parameters, and cost it."""
    from dataclasses import replace

    from fusemax.model import evaluate
    from fusemax.syntax.load import load_mapping

    mapping = load_mapping(name)
    machine, checked = _machine_and_cascade(mapping, arch)
    point, chosen = _point(mapping, checked, shapes, model, length, settings or {})
    with chosen.explained():
        found = evaluate(checked, machine, mapping, point.shapes, parameters=chosen.values, accounting=accounting)
    return replace(found, model=point.model, seq=point.seq, notes=_notes(chosen))


def simulated(
    name: str,
    *,
    shapes: Mapping[str, int],
    model: str | None = None,
    length: int | None = None,
    arch: str | None = None,
    settings: Mapping[str, str] | None = None,
    window: tuple[float, float] | None = None,
    trace: Path | None = None,
    plot: Path | None = None,
    checks: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Trace:
    """Load a mapping with its cascade and architecture, and run it; compare its numbers, draw it, write its tasks."""
    from dataclasses import replace

    from fusemax.bind.bind import bind
    from fusemax.report.gantt import MOST_DRAWN
    from fusemax.report.simulations import check_numbers, write_trace_files
    from fusemax.sim.simulate import MOST_SLICES, check_window, run
    from fusemax.syntax.load import load_mapping

    mapping = load_mapping(name)
    machine, checked = _machine_and_cascade(mapping, arch)
    point, chosen = _point(mapping, checked, shapes, model, length, settings or {})
    with chosen.explained():
        bound = bind(checked, machine, mapping, point.shapes, chosen.values)
    error = check_numbers(bound, progress) if checks else None
    most = MOST_SLICES if plot is None else MOST_DRAWN
    found = check_window(run(bound, window, progress=progress, most=most), window)
    write_trace_files(bound, found, window, trace, plot, progress)
    return replace(found, model=point.model, seq=point.seq, error=error, notes=_notes(chosen))


def mapped(
    cascade: str | None,
    arch: str | None,
    *,
    shapes: Mapping[str, int],
    options: SearchOptions,
    model: str | None = None,
    length: int | None = None,
    against: str | None = None,
    simulates: bool = False,
    checks: bool = False,
    name: str | None = None,
) -> MapResult:
    """Search for the best mappings; compare them with another one, and simulate the best."""
    from dataclasses import replace

    from fusemax.bind.bind import bind
    from fusemax.mapper import map_cascade
    from fusemax.model import evaluate
    from fusemax.report.simulations import check_numbers
    from fusemax.sim.simulate import run
    from fusemax.syntax.load import load_mapping

    tree = options.loaded_template()
    if tree is None and (cascade is None or arch is None):
        raise FusemaxError("a search needs a cascade and an architecture", "add --cascade and --arch, or --template")
    machine, checked = _machine_and_cascade(tree, arch, cascade)
    sizes = shapes_for(checked, model, length, shapes)
    result = map_cascade(checked, machine, sizes, replace(options, template=tree, even=options.even or simulates))
    files = (
        {"cascade": cascade or tree.cascade, "arch": arch or tree.arch} if tree else {"cascade": cascade, "arch": arch}
    )
    best = tuple(replace(f, mapping=replace(f.mapping, name=name or f.mapping.name, **files)) for f in result.best)
    other = trace = None
    if against is not None:
        named = load_mapping(against)
        point, chosen = _point(named, checked, shapes, model, length, {})
        other = evaluate(checked, machine, named, point.shapes, parameters=chosen.values, accounting=options.accounting)
    if simulates and best and not result.statistics.interrupted:
        bound = bind(checked, machine, best[0].mapping, sizes, {})
        error = check_numbers(bound) if checks else None
        trace = replace(run(bound), model=model, seq=length, error=error)
    return replace(result, best=best, model=model, seq=length, against=other, simulation=trace)


def compared(
    names: Sequence[str],
    *,
    models: Sequence[str],
    lengths: Sequence[int],
    shapes: Mapping[str, int],
    baseline: str | None = None,
    arch: str | None = None,
    accounting: str = "full",
    end_to_end: bool = False,
    search: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Load and cost several mappings, against a baseline: the first of them, unless another is named, as in `names`.

    With `end_to_end` whole encoder layers, with `search` also the best that the mapper finds in the place of each.
    """
    from fusemax.study.compare import compare
    from fusemax.study.encoder_layer import end_to_end as encoder_layers
    from fusemax.syntax.load import load_mapping

    mappings = [load_mapping(name) for name in names]
    against = dict(zip(names, (mapping.name for mapping in mappings), strict=True)).get(baseline or "", baseline)
    against = against if against is not None or len(mappings) < 2 else mappings[0].name
    if not end_to_end:
        if search:
            raise FusemaxError("--search is about encoder layers", "add --end-to-end, or use `fusemax map`")
        return compare(mappings, models, lengths, baseline=against, arch=arch, shapes=shapes, accounting=accounting)
    if shapes:
        raise FusemaxError("an encoder layer has the sizes of its model", "leave --shape out")
    return encoder_layers(
        mappings, models, lengths, baseline=against, arch=arch, accounting=accounting, search=search, progress=progress
    )


def reproduced(names: Sequence[str] = ()) -> tuple[Reproduction | SizesReproduction, ...]:
    """Load studies of published values, all that are shipped if none is named, and evaluate them again."""
    from fusemax import resources
    from fusemax.report.reproduce import reproduce
    from fusemax.report.sizes import reproduce_sizes
    from fusemax.syntax.load import SIZES, STUDIES, load_sizes_study, load_study

    sizes = resources.names(SIZES, ".yaml")
    wanted = names or (*resources.names(STUDIES, ".yaml"), *sizes)
    return tuple(
        reproduce_sizes(load_sizes_study(name)) if name in sizes else reproduce(load_study(name)) for name in wanted
    )


def traded(
    cascade: str | None,
    arch: str | None,
    *,
    shapes: Mapping[str, int],
    options: SearchOptions,
    model: str | None = None,
    length: int | None = None,
    mapping: str | None = None,
    of: Sequence[str] = (),
    dims: Sequence[int] = (),
) -> Front:
    """The front of a cascade on an architecture; of machines of other sizes with the mapping of the shipped study, if
    nothing else is named."""
    from dataclasses import replace

    from fusemax import resources
    from fusemax.mapper.pareto import pareto
    from fusemax.syntax.load import SIZES, load_mapping, load_sizes_study

    if dims and not (cascade or mapping or options.template):
        mapping = load_sizes_study(resources.names(SIZES, ".yaml")[0]).mapping
    named = None if mapping is None else load_mapping(mapping)
    tree = options.loaded_template()
    file = named or tree
    if file is None and (cascade is None or arch is None):
        raise FusemaxError(
            "a front needs a cascade and an architecture", "add --cascade and --arch, or --mapping, or --template"
        )
    machine, checked = _machine_and_cascade(file, arch, cascade)
    sizes = shapes_for(checked, model, length, shapes)
    chosen = None if named is None else _point(named, checked, shapes, model, length, {})[1].values
    options = replace(options, template=tree)
    return pareto(checked, machine, sizes, options, of=of, mapping=named, parameters=chosen, dims=dims)


def shown(
    name: str,
    *,
    shapes: Mapping[str, int],
    model: str | None = None,
    length: int | None = None,
    arch: str | None = None,
    settings: Mapping[str, str] | None = None,
) -> ShownArch | ShownMapping:
    """Load an architecture, or a mapping with all that it names, bound to sizes if there are any."""
    from fusemax.bind.bind import bind
    from fusemax.ir.arch import Arch
    from fusemax.report.arch_tree import ShownArch, load_shown
    from fusemax.report.mapping_tree import ShownMapping

    found = load_shown(name)
    if isinstance(found, Arch):
        if shapes or model or length or arch or settings:
            raise FusemaxError(f"'{found.name}' is an architecture, which has no sizes", "show a mapping with them")
        return ShownArch(found)
    machine, checked = _machine_and_cascade(found, arch)
    if not (shapes or model or length or settings):
        return ShownMapping(found, machine, checked)
    point, chosen = _point(found, checked, shapes, model, length, settings or {})
    with chosen.explained():
        bound = bind(checked, machine, found, point.shapes, chosen.values)
    return ShownMapping(found, machine, checked, chosen.values, bound, point.title)


def _machine_and_cascade(
    mapping: MappingFile | None, arch: str | None, cascade: str | None = None
) -> tuple[Arch, Checked]:
    """The named architecture and cascade, else those of a mapping."""
    from fusemax.syntax.load import arch_of, cascade_of, load_arch

    machine = arch_of(mapping) if mapping and not arch else load_arch(arch or "")
    return machine, check(cascade_of(mapping) if mapping and not cascade else load_cascade(cascade or ""))


def _point(
    mapping: MappingFile, checked: Checked, shapes: Mapping[str, int], model: str | None, length: int | None,
    settings: Mapping[str, str],
) -> tuple[Point, Chosen]:  # fmt: skip
    """One model at one length, with sizes of the cascade's ranks, and the parameters there; settings overrule them."""
    from dataclasses import replace

    from fusemax.bind.parameters import Chosen, chosen_for, value_of_text
    from fusemax.study.compare import points_of

    (point,) = points_of([model] if model else [], [] if length is None else [length], shapes)
    wanted = {*shape_names(checked), *shapes}
    point = replace(point, shapes={rank: size for rank, size in point.shapes.items() if rank in wanted})
    set_ = {parameter: value_of_text(mapping, parameter, text) for parameter, text in settings.items()}
    chosen = chosen_for(mapping, point.model, point.seq)
    return point, Chosen({**chosen.values, **set_}, None if set_ else chosen.remark)


def _notes(chosen: Chosen) -> tuple[str, ...]:
    return (chosen.remark,) if chosen.remark else ()


def _ranks(checked: Checked) -> list[str]:
    return [rank for tensor in checked.inputs for rank in tensor.ranks]


def _lengths(checked: Checked, arrays: Mapping[str, ArrayLike]) -> list[int]:
    import numpy as np

    return [length for tensor in checked.inputs for length in np.shape(arrays[tensor.name])]
