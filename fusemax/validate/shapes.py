"""The sizes of all ranks, from what is given, from the equations between them, and from defaults, in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from fusemax.errors import FusemaxError, Problem, did_you_mean, listed
from fusemax.ir.checked import Checked, Equation
from fusemax.ir.expr import Access, Apply, Expr, Name, Number, names
from fusemax.ir.printer import print_expr

LARGEST = 2**53


def solve_shapes(checked: Checked, given: Mapping[str, int] | None = None, complete: bool = True) -> dict[str, int]:
    """The size of every rank and shape of the cascade.

    A given size wins over a default; equations (a split, an alias, a trip count, a `shape` over other shapes) are
    solved for one unknown and then must hold exactly. Raises `FusemaxError` for sizes that are no positive integers,
    for equations that do not hold and, if `complete`, for sizes that nothing tells.

    >>> from fusemax import check, parse
    >>> text = "shape M0 = 4, M1 = M / M0\\ninput K[M]\\nZ[m1, m0] = K[m1*M0 + m0]"
    >>> solve_shapes(check(parse(text)), {"M": 12})
    {'M': 12, 'M0': 4, 'M1': 3}
    """
    known_names = shape_names(checked)
    problems = [p for name, size in (given or {}).items() if (p := _bad_size(name, size, known_names))]
    if problems:
        raise FusemaxError(problems)
    sizes: dict[str, Fraction] = {name: Fraction(size) for name, size in (given or {}).items()}
    equations = [e for e in checked.equations if not _is_constant(e)]
    _propagate(equations, sizes)
    for default in checked.equations:
        if _is_constant(default) and (default.left not in sizes or not default.default):
            value = _value(default.right, sizes)
            if value is not None:
                sizes.setdefault(default.left, value)
                _propagate(equations, sizes)
    problems = [p for e in checked.equations if (p := _violated(e, sizes))]
    problems = problems or [p for name in known_names if (p := _bad_solution(name, sizes.get(name)))]
    missing = [name for name in known_names if name not in sizes]
    if missing and complete and not problems:
        example = " ".join(f"{name}=64" for name in missing)
        problems.append(
            Problem(f"no size for {listed(missing, 20)}", None, f"give it, for instance `--shape {example}`")
        )
    if problems:
        raise FusemaxError(problems)
    return {name: int(sizes[name]) for name in known_names if name in sizes}


def shape_names(checked: Checked) -> tuple[str, ...]:
    """Every name that has a size: ranks, and what stands in equations, filters and expressions."""
    found = dict.fromkeys(checked.ranks)
    for equation in checked.equations:
        found.update(dict.fromkeys([equation.left, *(n.name for n in names(equation.right))]))
    for einsum in checked.einsums:
        for constraint in einsum.constraints:
            found.update(dict.fromkeys(constraint.form.shapes))
        found.update(dict.fromkeys(n.name for n in names(einsum.expr) if _is_shape_here(checked, n, einsum.variables)))
    for param in checked.cascade.params:
        found.update(dict.fromkeys(n.name for n in names(param.value) if _is_shape_here(checked, n, ())))
    return tuple(found)


def _is_shape_here(checked: Checked, name: Name, variables: Sequence[str]) -> bool:
    return name.name not in variables and all(name.name != param.name for param in checked.cascade.params)


def _is_constant(equation: Equation) -> bool:
    return not any(True for _ in names(equation.right))


def _bad_size(name: str, size: object, known: Sequence[str]) -> Problem | None:
    if name not in known:
        hint = did_you_mean(name, known) or (f"its ranks are {', '.join(known)}" if known else "it has no rank")
        return Problem(f"this cascade has no rank '{name}'", None, hint)
    if isinstance(size, bool) or not hasattr(size, "__index__"):
        return Problem(f"size {size!r} of rank '{name}' is not an integer", None, "give a positive integer")
    value = size.__index__()
    if value < 1:
        return Problem(f"size {value} of rank '{name}' is not positive", None, "give a positive integer")
    if value > LARGEST:
        return Problem(
            f"size {value} of rank '{name}' is larger than 2^53", None, "give a size that a machine could hold"
        )
    return None


def _bad_solution(name: str, value: Fraction | None) -> Problem | None:
    if value is None or (value.denominator == 1 and 1 <= value <= LARGEST):
        return None
    what = "not an integer" if value.denominator > 1 else "not positive" if value < 1 else "larger than 2^53"
    return Problem(
        f"the size of rank '{name}' would be {value}, which is {what}", None, f"give --shape {name}=N, or others"
    )


def _propagate(equations: Sequence[Equation], sizes: dict[str, Fraction]) -> None:
    """Solve equations with one unknown until none is left."""
    waiting = list(equations)
    while True:
        unsolved = [equation for equation in waiting if not _solve(equation, sizes)]
        if len(unsolved) == len(waiting):
            return
        waiting = unsolved


def _solve(equation: Equation, sizes: dict[str, Fraction]) -> bool:
    """Solve for the one unknown, if there is one; True if nothing is left to do."""
    unknown = [n for n in (equation.left, *(n.name for n in names(equation.right))) if n not in sizes]
    if not unknown:
        return True
    if len(unknown) > 1:
        return False
    if unknown[0] == equation.left:
        value = _value(equation.right, sizes)
    else:
        value = _inverse(equation.right, sizes[equation.left], unknown[0], sizes)
    if value is None:
        return False
    sizes[unknown[0]] = value
    return True


def _value(expr: Expr, sizes: Mapping[str, Fraction]) -> Fraction | None:
    """The value of an expression over sizes, or None if it has none that is exact."""
    match expr:
        case Number(value):
            return Fraction(value) if abs(value) <= LARGEST else None
        case Name(name):
            return sizes.get(name)
        case Access():
            return None
        case Apply(operator, args):
            values = [_value(arg, sizes) for arg in args]
            return _apply(operator, [v for v in values if v is not None]) if None not in values else None


def _apply(operator: str, values: list[Fraction]) -> Fraction | None:
    match operator, values:
        case "add", [a, b]:
            return a + b
        case "sub", [a, b]:
            return a - b
        case "mul", [a, b]:
            return a * b
        case "div", [a, b] if b:
            return a / b
        case "neg", [a]:
            return -a
        case "max", _:
            return max(values)
        case "min", _:
            return min(values)
        case "floor", [a]:
            return Fraction(a.numerator // a.denominator)
        case "pow", [a, b] if b.denominator == 1 and 0 <= b <= 64 and abs(a) <= LARGEST:
            return Fraction(a**b.numerator)
    return None


def _inverse(expr: Expr, target: Fraction, unknown: str, sizes: Mapping[str, Fraction]) -> Fraction | None:
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


def _peel(operator: str, target: Fraction, known: Fraction, in_left: bool) -> Fraction | None:
    match operator:
        case "add":
            return target - known
        case "sub":
            return target + known if in_left else known - target
        case "mul" if known:
            return target / known
        case "div" if in_left:
            return target * known
        case "div" if target:
            return known / target
    return None


def _violated(equation: Equation, sizes: Mapping[str, Fraction]) -> Problem | None:
    """The problem with an equation that does not hold; a default that was overruled is none."""
    left, right = sizes.get(equation.left), _value(equation.right, sizes)
    if left is None or (equation.default and _is_constant(equation)):
        return None
    if right is None:
        return None
    text = f"{equation.left} = {print_expr(equation.right)}"
    involved = dict.fromkeys([equation.left, *(n.name for n in names(equation.right))])
    values = ", ".join(f"{name} = {sizes[name]}" for name in involved)
    if left.denominator > 1 or right.denominator > 1:
        whole = ", ".join(f"{name} = {sizes[name]}" for name in involved if sizes[name].denominator == 1)
        return Problem(f"the division in `{text}` is not exact with {whole}", equation.span, "give sizes that divide")
    if left == right:
        return None
    return Problem(f"`{text}` does not hold with {values} ({equation.because})", equation.span, "give sizes that agree")
