"""The sizes of all ranks, from given ones, from the equations between them, and from defaults, in this order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from fusemax.errors import FusemaxError, Problem, did_you_mean, listed
from fusemax.ir.affine import LARGEST
from fusemax.ir.checked import Checked, Equation
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, names, walk
from fusemax.ir.print_cascade import print_expr
from fusemax.validate.exact import Exact, Grid, applied, is_grid, one, quotient


def solve_shapes(checked: Checked, given: Mapping[str, int] | None = None, complete: bool = True) -> dict[str, int]:
    """The size of every rank and shape of the cascade.

    A given size wins over a default; equations (a split, an alias, a trip count, a `shape` over other shapes) are
    solved for one unknown and then must hold exactly. Raises `FusemaxError` for sizes that are no positive integers,
    for equations that do not hold and, if `complete`, for sizes that nothing tells.

    >>> from fusemax import check, parse
    >>> text = "shape M0 = 4, M1 = M / M0\\ninput K[M]\\nZ[m1, m0] = K[m1*M0 + m0]"
    >>> solve_shapes(check(parse(text)), {"M": 12})
    {'M': 12, 'M1': 3, 'M0': 4}
    """
    known_names = shape_names(checked)
    problems = [p for name, size in (given or {}).items() if (p := bad_size(name, size, known_names))]
    if problems:
        raise FusemaxError(problems)
    sizes, problems = solve(checked.equations, given or {})
    missing = [name for name in known_names if name not in sizes]
    if missing and complete and not problems:
        example = " ".join(f"{name}=64" for name in missing)
        problems = [Problem(f"no size for {listed(missing, 20)}", None, f"give it, for instance `--shape {example}`")]
    if problems:
        raise FusemaxError(problems)
    return {name: sizes[name] for name in known_names if name in sizes}


def shape_names(checked: Checked) -> tuple[str, ...]:
    """Every name that has a size: ranks, and names in equations, filters and expressions."""
    found = dict.fromkeys(checked.ranks)
    for equation in checked.equations:
        found.update(dict.fromkeys([equation.left, *(n.name for n in names(equation.right))]))
    params = {param.name for param in checked.cascade.params}
    for einsum in checked.einsums:
        for constraint in einsum.constraints:
            found.update(dict.fromkeys(constraint.form.shapes))
        found.update(dict.fromkeys(_names(einsum.expr, params.union(einsum.variables))))
    for param in checked.cascade.params:
        found.update(dict.fromkeys(_names(param.value, params)))
    for op in checked.cascade.ops:
        found.update(dict.fromkeys(_names(op.body, params.union(op.args))))
    for tensor in checked.tensors.values():
        found.update(dict.fromkeys(_names(tensor.empty or Number(0), params)))
    return tuple(found)


def _names(expr: Expr, but: Iterable[str]) -> list[str]:
    return [name.name for name in names(expr) if name.name not in but]


def bad_size(name: str, size: object, known: Sequence[str]) -> Problem | None:
    """The problem with a size that is given for a rank, or None."""
    if name not in known:
        hint = did_you_mean(name, known) or (f"its ranks are {', '.join(known)}" if known else "it has no rank")
        return Problem(f"this cascade has no rank '{name}'", None, hint)
    if isinstance(size, bool) or not hasattr(size, "__index__"):
        return Problem(f"size {size!r} of rank '{name}' is not an integer", None, "give a positive integer")
    value = size.__index__()
    what = f"size {value if abs(value) < 10**30 else 'of many digits'} of rank '{name}'"
    if value < 1:
        return Problem(f"{what} is not positive", None, "give a positive integer")
    if value > LARGEST:
        return Problem(f"{what} is larger than 2^53", None, "give a size that a machine could hold")
    return None


# ------------------------------------------------------------------------------------------------------------- solving


def solve(equations: Iterable[Equation], given: Mapping[str, int]) -> tuple[dict[str, int], list[Problem]]:
    """The sizes that follow from given ones and from defaults, and their mistakes."""
    equations = list(equations)
    solver = _solver(equations, given)
    problems = [p for e in equations if (p := _violated(e, solver, overruled=bool(given)))]
    problems = problems or [p for name in solver.sizes if (p := _bad_solution(name, solver))]
    return {name: int(one(size)) for name, size in solver.sizes.items()}, problems


def solve_grid(checked: Checked, given: Mapping[str, int | Grid], points: int) -> dict[str, int | Grid]:
    """The size of every rank and shape as `solve_shapes` has it, at all points of a grid at once.

    Sizes that are given are positive integers, or arrays of one dimension with one for each of the `points`. Points of
    which an equation does not hold are solved one by one; the first that has no sizes raises its `FusemaxError`.

    >>> from fusemax import check, parse
    >>> import numpy as np
    >>> text = "shape M0 = 4, M1 = M / M0\\ninput K[M]\\nZ[m1, m0] = K[m1*M0 + m0]"
    >>> solve_grid(check(parse(text)), {"M": np.array([12, 16])}, 2)
    {'M': array([12, 16]), 'M1': array([3, 4]), 'M0': 4}
    """
    known = shape_names(checked)
    solver = _solver(checked.equations, given)
    doubtful = list(range(points))
    if all(name in solver.sizes for name in known):
        doubt = _doubt(checked.equations, solver, overruled=bool(given))
        doubtful = [at for at in doubtful if (doubt[at] if is_grid(doubt) else doubt)]
    alone = {at: solve_shapes(checked, {name: _at(size, at) for name, size in given.items()}) for at in doubtful}
    if len(alone) == points:
        import numpy as np

        return {name: np.array([alone[at][name] for at in range(points)]) for name in known}
    assert not alone, "a point that has sizes where an equation does not hold"
    return {name: size if is_grid(size := solver.sizes[name]) else int(one(size)) for name in known}


def _at(size: int | Grid, at: int) -> int:
    return int(size[at] if is_grid(size) else size)


def _doubt(equations: Iterable[Equation], solver: _Solver, overruled: bool) -> bool | Grid:
    """The points where an equation does not hold, or a size is no positive integer: a truth value, or one for each point."""
    doubt: bool | Grid = False
    for equation in equations:
        right = _value(equation.right, solver.sizes)
        if right is not None and not (equation.default and _is_constant(equation) and overruled):
            doubt = doubt | (solver.sizes[equation.left] != right)
    for size in solver.sizes.values():
        doubt = doubt | (size % 1 != 0) | (size < 1) | (size > LARGEST)
    return doubt


def _solver(equations: Sequence[Equation], given: Mapping[str, Exact]) -> _Solver:
    """All sizes that follow: from those given first, then from defaults."""
    solver = _Solver()
    for equation in equations:
        for name in dict.fromkeys([equation.left, *(n.name for n in names(equation.right))]):
            solver.waiting.setdefault(name, []).append(equation)
    solver.sizes.update(given)
    for name in given:
        solver.follow(name)
    for equation in equations:
        if _is_constant(equation):
            solver.learn(equation.left, _value(equation.right, {}), equation)
    return solver


@dataclass(frozen=True, slots=True)
class _Solver:
    """Sizes, the equation that each follows from, and the equations in which each name stands."""

    sizes: dict[str, Exact] = field(default_factory=dict)
    origins: dict[str, Equation] = field(default_factory=dict)
    waiting: dict[str, list[Equation]] = field(default_factory=dict)

    def size(self, name: str) -> int | Fraction:
        """A size that is known, where no grid was given."""
        return one(self.sizes[name])

    def learn(self, name: str, value: Exact | None, origin: Equation) -> None:
        """Take down a size that is not known yet, and all that follows from it."""
        if value is not None and name not in self.sizes:
            self.sizes[name], self.origins[name] = value, origin
            self.follow(name)

    def follow(self, name: str) -> None:
        """Take down all that follows from a size."""
        news = [name]
        while news:
            for equation in self.waiting.get(news.pop(), ()):
                unknown = self.unknown(equation)
                value = self.solved(equation, unknown) if unknown is not None else None
                if unknown is not None and value is not None:
                    self.sizes[unknown], self.origins[unknown] = value, equation
                    news.append(unknown)

    def unknown(self, equation: Equation) -> str | None:
        """The one name of an equation whose size is not known."""
        found = [n for n in (equation.left, *(n.name for n in names(equation.right))) if n not in self.sizes]
        return found[0] if len(found) == 1 else None

    def solved(self, equation: Equation, unknown: str) -> Exact | None:
        """The size of the unknown, if the way to it is exact."""
        if unknown == equation.left:
            return _value(equation.right, self.sizes)
        return _inverse(equation.right, self.sizes[equation.left], unknown, self.sizes)


def _is_constant(equation: Equation) -> bool:
    return not any(True for _ in names(equation.right))


def _value(expr: Expr, sizes: Mapping[str, Exact]) -> Exact | None:
    """The value of an expression over sizes, or None if it has no exact one."""
    match expr:
        case Number(value):
            return quotient(Fraction(value), 1) if abs(value) <= LARGEST else None
        case Name(name):
            return sizes.get(name)
        case Access():
            return None
        case Apply(operator, args):
            values = [_value(arg, sizes) for arg in args]
            known = [value for value in values if value is not None]
            return applied(operator, known) if len(known) == len(values) else None


def _inverse(expr: Expr, target: Exact, unknown: str, sizes: Mapping[str, Exact]) -> Exact | None:
    """The value of the unknown for which the expression is `target`, if the way to it is one of + - * /."""
    match expr:
        case Name(name) if name == unknown:
            return target
        case Apply("neg", (operand,)):
            return _inverse(operand, -target, unknown, sizes)
        case Apply(operator, (left, right)):
            in_left = any(n.name == unknown for n in names(left))
            known = _value(right if in_left else left, sizes)
            if known is None:
                return None
            inner = _peel(operator, target, known, in_left)
            return None if inner is None else _inverse(left if in_left else right, inner, unknown, sizes)
    return None


def _peel(operator: str, target: Exact, known: Exact, in_left: bool) -> Exact | None:
    """The operand of `operator` that is not known, if the other is and the result is `target`."""
    match operator:
        case "add":
            return applied("sub", [target, known])
        case "sub":
            return applied("add", [target, known]) if in_left else applied("sub", [known, target])
        case "mul":
            return applied("div", [target, known])
        case "div":
            return applied("mul", [target, known]) if in_left else applied("div", [known, target])
    return None


# ------------------------------------------------------------------------------------------------------------ refusals


def _violated(equation: Equation, solver: _Solver, overruled: bool) -> Problem | None:
    """The problem with an equation that does not hold; a default that a given size overrules is no problem."""
    if equation.left not in solver.sizes or (value := _value(equation.right, solver.sizes)) is None:
        return None
    left, right = solver.size(equation.left), one(value)
    if left == right and left.denominator == 1:
        return None
    if equation.default and _is_constant(equation) and overruled:
        return None
    text = f"`{equation.left} = {print_expr(equation.right)}`"
    known = [name for name in dict.fromkeys([equation.left, *_names(equation.right, ())]) if name in solver.sizes]
    if right.denominator > 1 and not _is_constant(equation):
        divides = any(isinstance(node, Apply) and node.operator == "div" for node in walk(equation.right))
        what = f"the division in {text} is not exact" if divides else f"{text} is not an integer"
        values = _sizes_text(solver, (name for name in known if name != equation.left or left != right))
        return Problem(f"{what} with {values}", equation.span, "give sizes that divide")
    if left == right:
        return None  # not an integer, or not positive: said of the size itself
    reason = solver.origins.get(equation.left)
    if _is_constant(equation) and reason is not None:
        if equation.default and reason.default and _is_constant(reason):
            return None  # two shapes for one rank: said of the second
        others = [name for name in dict.fromkeys([reason.left, *_names(reason.right, ())]) if name != equation.left]
        values = f" with {_sizes_text(solver, others)}" if others else ""
        because = f"`{reason.left} = {print_expr(reason.right)}`{values} ({reason.because})"
        message = f"two shapes for rank '{equation.left}': {_shown(right)} here, and {_shown(left)} by {because}"
        return Problem(message, equation.span, "give sizes that agree")
    because = f"{_sizes_text(solver, known)} ({equation.because})"
    return Problem(f"{text} does not hold with {because}", equation.span, "give sizes that agree")


def _sizes_text(solver: _Solver, known: Iterable[str]) -> str:
    return ", ".join(f"{name} = {_shown(solver.size(name))}" for name in known)


def _shown(value: int | Fraction) -> str:
    if not -LARGEST <= value <= LARGEST:
        return "more than 2^53"
    return str(value) if value.denominator == 1 else f"{float(value):g}"


def _bad_solution(name: str, solver: _Solver) -> Problem | None:
    value, origin = solver.size(name), solver.origins.get(name)
    if value.denominator == 1 and 1 <= value <= LARGEST:
        return None
    what = "not an integer" if value.denominator > 1 else "not positive" if value < 1 else "larger than 2^53"
    size = f"{_shown(value)}, which is {what}" if -LARGEST <= value <= LARGEST else what
    message, hint = f"the size of '{name}' is {size}", "give a positive integer"
    if origin is not None and not _is_constant(origin):
        others = [n for n in dict.fromkeys([origin.left, *_names(origin.right, ())]) if n != name]
        message += f" (`{origin.left} = {print_expr(origin.right)}` with {_sizes_text(solver, others)})"
        hint = "give other sizes"
    return Problem(message, origin.span if origin else None, hint)
