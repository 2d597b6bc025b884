"""Affine forms in rank variables and shapes: subscripts, sides of filters, and equations between sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from math import prod
from typing import Any

from fusemax.errors import Span
from fusemax.ir.expr import rank_of

LARGEST = 2**53
"""The largest number in a subscript, and the largest size: float64 holds every integer up to it."""


@dataclass(frozen=True, slots=True)
class Term:
    """`factor * S0 * S1 * variable`; without a variable, a part of the offset."""

    factor: int
    shapes: tuple[str, ...] = ()
    variable: str | None = None


@dataclass(frozen=True, slots=True)
class Affine:
    """A sum of terms, no two of them alike, in the order in which they are written."""

    terms: tuple[Term, ...]
    span: Span | None = field(default=None, compare=False, repr=False)

    @property
    def variables(self) -> tuple[str, ...]:
        """The rank variables, outermost first as written."""
        return tuple(dict.fromkeys(t.variable for t in self.terms if t.variable is not None))

    @property
    def shapes(self) -> tuple[str, ...]:
        """The shapes that it mentions."""
        return tuple(dict.fromkeys(shape for term in self.terms for shape in term.shapes))

    @property
    def offset(self) -> tuple[Term, ...]:
        """The terms without a variable."""
        return tuple(term for term in self.terms if term.variable is None)

    @property
    def variable(self) -> str | None:
        """The variable, if the form is one variable and nothing else."""
        match self.terms:
            case (Term(1, (), str(variable)),):
                return variable
        return None

    @property
    def step(self) -> str | None:
        """The variable `v` of `v + 1`."""
        match self.terms:
            case (Term(1, (), str(variable)), Term(1, (), None)) | (Term(1, (), None), Term(1, (), str(variable))):
                return variable
        return None

    @property
    def number(self) -> int | None:
        """The value, if it is a plain integer."""
        match self.terms:
            case ():
                return 0
            case (Term(factor, (), None),):
                return factor
        return None

    @property
    def split(self) -> tuple[str, ...] | None:
        """The ranks, outermost first, of `a*B + b` where B is the shape of b; nested likewise.

        >>> Affine((Term(1, ("M0",), "m1"), Term(1, (), "m0"))).split
        ('M1', 'M0')
        """
        if len(self.terms) < 2 or any(term.factor != 1 or term.variable is None for term in self.terms):
            return None
        by_strides = sorted(self.terms, key=lambda term: -len(term.shapes))
        ranks = tuple(rank_of(term.variable or "") for term in by_strides)
        nested = all(sorted(ranks[i + 1 :]) == sorted(term.shapes) for i, term in enumerate(by_strides))
        return ranks if nested and len(set(ranks)) == len(ranks) else None

    def evaluate(self, shapes: Mapping[str, int], variables: Mapping[str, Any]) -> Any:
        """The value with numbers, arrays or symbols for shapes and variables; 0 for the empty sum."""
        values = (
            term.factor
            * prod(shapes[s] for s in term.shapes)
            * (1 if term.variable is None else variables[term.variable])
            for term in self.terms
        )
        return reduce(lambda a, b: a + b, values, 0)


def total(*forms: tuple[Affine, int]) -> Affine:
    """The sum of forms, each times an integer; terms that cancel disappear.

    >>> m = Affine((Term(1, (), "m"),))
    >>> total((m, 1), (m, -1)).terms
    ()
    """
    sums: dict[tuple[tuple[str, ...], str | None], int] = {}
    for form, times in forms:
        for term in form.terms:
            key = (tuple(sorted(term.shapes)), term.variable)
            sums[key] = sums.get(key, 0) + times * term.factor
    return Affine(tuple(Term(factor, *key) for key, factor in sums.items() if factor), forms[0][0].span)


def constant(value: int) -> Affine:
    """A plain integer as a form."""
    return Affine((Term(value),) if value else ())


def substitute(form: Affine, indices: Mapping[str, Affine]) -> Affine:
    """The form with variables replaced by forms.

    >>> m, p = Affine((Term(1, (), "m"),)), Affine((Term(1, (), "p"), Term(1)))
    >>> substitute(m, {"m": p}).terms == p.terms
    True
    """
    parts: list[tuple[Affine, int]] = [(Affine(()), 1)]
    for term in form.terms:
        if term.variable not in indices or term.variable is None:
            parts.append((Affine((term,)), 1))
            continue
        inner = indices[term.variable].terms
        scaled = tuple(Term(t.factor, (*t.shapes, *term.shapes), t.variable) for t in inner)
        parts.append((Affine(scaled), term.factor))
    return total(*parts)
