"""The most likely cause of a syntax error in a mapping file: one short rule after another, the first that fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from lark import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from fusemax.errors import Problem, Span, nearest
from fusemax.syntax.source import CLOSING, PAIRS, TOKEN, Finding, Mistake, shown, without_comments, word_of


class Start(Enum):
    """The kinds of lines, by the line whose body they stand in; the values are the grammar's names."""

    STATEMENT = "statement"
    BRANCH = "branch"
    EINSUMS = "einsums"


FORMS = {
    "mapping": "mapping NAME",
    "cascade": "cascade NAME",
    "arch": "arch NAME",
    "choose": "choose from FILE by model, seq",
    "published": "published uncounted exp",
    "split": "split p: p1, p0 = array2d.columns",
    "for": "for b, h:",
    "pipeline": "pipeline b, h:",
    "stages": "stages p1:",
    "stage": "stage:",
    "phase": "phase:",
    "previous": "previous:",
    "case": "case PARAMETER:",
    "hold": "hold Q, K in buffer",
    "wait": "wait LM",
    "on": "on array2d (rows: m0, columns: p0): QK over e",
}
DECLARING = ("mapping", "cascade", "arch", "choose", "published", "split")
_OPENING = ("for", "pipeline", "stages", "stage", "phase", "previous", "case", "on")
_BRANCH = "below `case` stand its values, each with a body: `value: ...`"
_EINSUM = "below `on` stand Einsums: `QK over e; LM`"


@dataclass(frozen=True, slots=True)
class Fault:
    """The statement of a line in which the parser stopped: its kind, and the place in it."""

    start: Start
    mistake: Mistake

    @property
    def keyword(self) -> str:
        """The keyword of the statement, or nothing."""
        return self.mistake.first if self.start is Start.STATEMENT and self.mistake.first in FORMS else ""

    @property
    def form(self) -> str:
        """A hint: how such a statement is written."""
        match self.start:
            case Start.EINSUMS:
                return _EINSUM
            case Start.BRANCH:
                return _BRANCH
        return f"write it like `{FORMS[self.keyword]}`" if self.keyword else "statements are " + ", ".join(FORMS)


Rule = Callable[[Fault], Finding | None]


def diagnose(error: UnexpectedInput, span: Span, start: Start) -> Problem:
    """The problem behind Lark's error in a line."""
    code = without_comments(span.text)
    at: int | None = None
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        at = error.token.start_pos
    elif isinstance(error, UnexpectedCharacters):
        at = error.pos_in_stream
    at = len(code) if at is None else at
    begin, kind = [found for found in statements(code, start) if found[0] <= at][-1]
    fault = Fault(kind, Mistake(code[begin:], at - begin, frozenset()))
    found = next(finding for rule in RULES if (finding := rule(fault)) is not None)
    offset = span.start + begin
    return Problem(found.message, Span(span.source, offset + found.start, offset + found.end), found.hint)


def statements(text: str, start: Start) -> list[tuple[int, Start]]:
    """The offsets and kinds of the statements of a line: a body behind a colon is one more.

    >>> statements("for m1: on array1d (lanes: m0): GM", Start.STATEMENT)
    [(0, <Start.STATEMENT: 'statement'>), (8, <Start.STATEMENT: 'statement'>), (32, <Start.EINSUMS: 'einsums'>)]
    """
    found = [(0, start)]
    depth = 0
    for match in TOKEN.finditer(text):
        depth += (match.group() in CLOSING) - (match.group() in PAIRS)
        if match.group() == ":" and depth == 0:
            begin, kind = found[-1]
            inner = body_of(text[begin:], kind)
            if inner is None:
                break
            rest = text[match.end() :]
            found.append((match.end() + len(rest) - len(rest.lstrip()), inner))
    return found


def body_of(text: str, start: Start) -> Start | None:
    """The kind of lines in the body of a statement; None without a body. It may be damaged: `fro b, h`."""
    first = word_of(text)
    match start:
        case Start.BRANCH:
            return Start.STATEMENT
        case Start.EINSUMS:
            return None
    keyword = first if first in FORMS else nearest(first, FORMS)
    if keyword not in _OPENING:
        return None
    return {"on": Start.EINSUMS, "case": Start.BRANCH}.get(keyword, Start.STATEMENT)


def body_below(text: str, start: Start) -> Start | None:
    """The kind of lines below a line; None if it is unknown.

    >>> body_below("for m1: on array1d (lanes: m0):", Start.STATEMENT)
    <Start.EINSUMS: 'einsums'>
    """
    begin, kind = statements(without_comments(text), start)[-1]
    rest = text[begin:]
    known = kind is not Start.STATEMENT or not rest or word_of(rest) in FORMS
    return (body_of(rest, kind) if rest else None) or (kind if known else None)


# ---------------------------------------------------------------------------------------------- statements as a whole


def _brackets(fault: Fault) -> Finding | None:
    """Brackets that do not match, wherever the parser noticed."""
    opened: list[tuple[str, int]] = []
    for i, char in enumerate(fault.mistake.text):
        if char in CLOSING:
            opened.append((char, i))
        elif char in PAIRS and not opened:
            hint = f"remove it, or open with '{PAIRS[char]}'"
            return Finding(f"'{char}' closes a bracket that was never opened", i, i + 1, hint)
        elif char in PAIRS:
            opener, _ = opened.pop()
            if opener != PAIRS[char]:
                return Finding(f"'{char}' closes a '{opener}'", i, i + 1, f"write '{CLOSING[opener]}'")
    if opened:
        char, i = opened[-1]
        return Finding(f"bracket '{char}' is never closed", i, i + 1, f"add the missing '{CLOSING[char]}'")
    return None


def _unknown_statement(fault: Fault) -> Finding | None:
    """`fro b, h:`, `For b, h:`, `BQK over e; LM` outside of `on`"""
    mistake = fault.mistake
    if fault.start is not Start.STATEMENT or mistake.before or fault.keyword:
        return None
    if not mistake.word:
        return mistake.here("a statement is missing", fault.form)
    lone = re.fullmatch(r"[A-Za-z][\w']*\s*((;|\|).*|(over|chained)\b.*)?", mistake.text.strip(), re.DOTALL)
    known = nearest(mistake.word, FORMS)
    if known and not (lone and lone.group(1)):
        return mistake.here(f"unknown statement {shown(mistake.word)}", f"did you mean `{known}`?")
    if lone:
        hint = f"Einsums stand in the body of a unit: `{FORMS['on']}`"
        return mistake.here(f"{shown(mistake.word)} stands in no body of `on`", hint)
    return mistake.here(f"unknown statement {shown(mistake.word)}", fault.form)


def _statement_elsewhere(fault: Fault) -> Finding | None:
    """A statement where only branches or Einsums may stand, as after a wrong indentation."""
    first, rest = fault.mistake.first, fault.mistake.text[len(fault.mistake.first) :].lstrip()
    if fault.start is Start.STATEMENT or first not in FORMS or rest[:1] in ("", ":", ";", "|"):
        return None
    if re.match(r"(over|chained)\b", rest):
        return None
    where, hint = ("on", _EINSUM) if fault.start is Start.EINSUMS else ("case", _BRANCH)
    return Finding(f"`{first}` in the body of `{where}`", 0, len(first), hint)


def _declaration_inside(fault: Fault) -> Finding | None:
    """`for b: split m: m1`"""
    if fault.keyword not in DECLARING or fault.mistake.before:
        return None
    return fault.mistake.here(
        f"`{fault.keyword}` inside of a body", "declarations stand above the first loop, not indented"
    )


def _bare_keyword(fault: Fault) -> Finding | None:
    """`wait`, `hold`, `for:`"""
    rest = fault.mistake.text[len(fault.keyword) :].strip()
    if not fault.keyword or FORMS[fault.keyword].endswith(f"{fault.keyword}:") or rest.rstrip(":"):
        return None
    if fault.keyword == "on":
        return Finding("`on` without a unit", 0, 2, fault.form)
    return Finding(f"`{fault.keyword}` with nothing behind it", 0, len(fault.keyword), fault.form)


def _colon(fault: Fault) -> Finding | None:
    """`for m1`, `stage`, `for m1 hold K in buffer`, `output` below `case`"""
    mistake = fault.mistake
    opens = fault.keyword in _OPENING or (fault.start is Start.BRANCH and mistake.before)
    if not opens or mistake.opened or ":" in re.sub(r"\([^)]*\)", "", mistake.before):
        return None
    complete = mistake.last not in (",", fault.keyword) or FORMS[fault.keyword] == f"{fault.keyword}:"
    if complete and (not mistake.word or mistake.word in FORMS):
        return mistake.behind(f"a colon is missing behind {shown(mistake.last)}", fault.form)
    return None


def _on(fault: Fault) -> Finding | None:
    """`on (rows: m0): QK`, `on array2d rows: m0: QK`, `on array2d (rows = m0): QK`"""
    mistake = fault.mistake
    if fault.keyword != "on":
        return None
    if mistake.before == "on":
        return Finding("`on` without a unit", 0, 2, fault.form)
    if not mistake.opened and mistake.word[:1].isalpha():
        return mistake.here("the axes of a unit stand in brackets", fault.form)
    if mistake.opened:
        return mistake.here(f"unexpected {shown(mistake.word)} among the axes", "write `(axis: variable, ...)`")
    return None


def _hold(fault: Fault) -> Finding | None:
    """`hold Q`, `hold in buffer`, `hold Q in`, `hold Q in buffer spill s unless k`"""
    mistake = fault.mistake
    if fault.keyword != "hold":
        return None
    words = TOKEN.findall(mistake.text)
    if "in" not in words and (not mistake.word or mistake.word in ("unless", "spill")):
        return Finding("`hold` without `in`", 0, 4, "say where: `hold Q, K in buffer`")
    if mistake.before == "hold in":
        return Finding("`hold` without a tensor", 0, 4, fault.form)
    if mistake.last == "in":
        missing = re.search(r",\s*in$", mistake.before)
        return mistake.behind("a name is missing before `in`" if missing else "`in` without a level", fault.form)
    if mistake.word == "unless" and "spill" in TOKEN.findall(mistake.before):
        return mistake.here("`unless` behind `spill`", "write `hold K in buffer unless kept spill share`")
    return None


def _fit(fault: Fault) -> Finding | None:
    """`p1 = fit`, `p1 = fit 16`"""
    mistake = fault.mistake
    if mistake.last != "fit" or fault.keyword != "split":
        return None
    if mistake.word[:1].isdigit():
        return mistake.here("a size without a unit", "write it like `fit 16 MiB`")
    return mistake.behind("`fit` without a level", "write `fit buffer`, or a size: `fit 16 MiB`")


# ------------------------------------------------------------------------------------------------- lists and lengths


def _einsums(fault: Fault) -> Finding | None:
    """`QK LM`, `QK;`, `QK |`, `; QK`, `SN chained over e`"""
    mistake = fault.mistake
    if fault.start is not Start.EINSUMS:
        return None
    if mistake.word == "over" and mistake.last == "chained":
        return mistake.here("`over` behind `chained`", "write `SN over e chained`")
    if mistake.word[:1].isalpha():
        return mistake.here(f"';' is missing before {shown(mistake.word)}", "separate Einsums with ';' or lines")
    if mistake.last in (";", "|") and mistake.word in ("", ";", "|"):
        return mistake.behind(f"an Einsum is missing behind '{mistake.last}'", "add it, or remove the sign")
    if mistake.word in (";", "|") and not mistake.before:
        return mistake.here(f"an Einsum is missing before '{mistake.word}'", "add it, or remove the sign")
    return None


def _list(fault: Fault) -> Finding | None:
    """`for b h:`, `for b,:`, `hold Q K in buffer`"""
    mistake = fault.mistake
    if mistake.last == "," and not mistake.word[:1].isalnum():
        return mistake.behind("nothing behind ','", "add a name, or remove the comma")
    words = TOKEN.findall(mistake.before)
    listing = {"for": "for", "pipeline": "pipeline", "stages": "stages", "hold": "hold", "split": "split",
               "choose": "by", "published": "uncounted"}.get(fault.keyword)  # fmt: skip
    named = listing in words and mistake.last != listing and not (fault.keyword == "hold" and "in" in words)
    if named and mistake.last[:1].isalpha() and mistake.word[:1].isalpha():
        return mistake.here(f"a comma is missing before {shown(mistake.word)}", fault.form)
    return None


def _operand(fault: Fault) -> Finding | None:
    """`p1 = rows /`, `rows =`, `p1 = max(2, 3)`, `hold K in buffer spill`"""
    mistake = fault.mistake
    if mistake.last in ("+", "-", "*", "/", "=", "spill") and mistake.word in ("", ",", ")", "+", "-", "*", "/"):
        hint = "add a number, a shape, a parameter or `unit.axis`"
        return mistake.behind(f"nothing behind '{mistake.last}'", hint)
    if mistake.word == "(" and mistake.last[:1].isalpha() and fault.keyword in ("mapping", "split", "hold"):
        return mistake.behind(f"no function {shown(mistake.last)}", "lengths are made of + - * / and brackets")
    return None


def _end(fault: Fault) -> Finding | None:
    """`hold K in buffer unless`, `choose from`, `QK over`"""
    mistake = fault.mistake
    if mistake.word or mistake.last not in ("unless", "from", "by", "uncounted", "over"):
        return None
    return mistake.behind(f"nothing behind `{mistake.last}`", fault.form)


def _anything(fault: Fault) -> Finding:
    mistake = fault.mistake
    found = shown(mistake.word) if mistake.word else "end of the line"
    behind = f" after {shown(mistake.last)}" if mistake.last else ""
    return mistake.here(f"unexpected {found}{behind}", fault.form)


RULES: tuple[Rule, ...] = (
    _brackets,
    _unknown_statement,
    _statement_elsewhere,
    _declaration_inside,
    _bare_keyword,
    _colon,
    _on,
    _hold,
    _fit,
    _einsums,
    _list,
    _operand,
    _end,
    _anything,
)
