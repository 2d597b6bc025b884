"""What a syntax error most likely is, in the user's terms: one short rule after another, the first that fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lark import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from fusemax.errors import Problem, Source, Span, nearest

PAIRS = {")": "(", "]": "[", "}": "{"}
CLOSING = {opener: closer for closer, opener in PAIRS.items()}
KEYWORDS = ("cascade", "shape", "param", "op", "input", "output", "tensor", "init", "loop", "stop", "final")
_OPERATORS = "+-*/^×∗÷−·⋅"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A statement and the offset in it at which the parser could not go on."""

    text: str
    at: int

    @property
    def before(self) -> str:
        """What was accepted, without trailing blanks."""
        return self.text[: self.at].rstrip()

    @property
    def after(self) -> str:
        """The offending text and what follows."""
        return self.text[self.at :]

    @property
    def depth(self) -> int:
        """How many brackets are open."""
        return sum((c in CLOSING) - (c in PAIRS) for c in self.before)


Finding = tuple[str, int, int, str | None]
"""Message, start and end in the statement, hint."""
Rule = Callable[[Mistake], Finding | None]


def diagnose(error: UnexpectedInput, text: str, source: Source, offset: int) -> Problem:
    """The problem behind Lark's error in a statement that starts at `offset` of the source."""
    at = len(text)
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        at = error.token.start_pos if error.token.start_pos is not None else at
    elif isinstance(error, UnexpectedCharacters):
        at = error.pos_in_stream
    mistake = Mistake(_without_comments(text), at)
    for rule in RULES:
        finding = rule(mistake)
        if finding is not None:
            message, start, end, hint = finding
            return Problem(message, Span(source, offset + start, offset + max(end, start + 1)), hint)
    raise AssertionError("the last rule always fits")


def _without_comments(text: str) -> str:
    return re.sub(r"#[^\n]*", lambda comment: " " * len(comment.group()), text)


def _word(text: str) -> str:
    match = re.match(r"[A-Za-z0-9_']+|\S", text)
    return match.group() if match else ""


def _misspelt_keyword(mistake: Mistake) -> Finding | None:
    """`inptu K[E]`, `Input K[E]`, `input` alone."""
    first = _word(mistake.text)
    rest = mistake.text[len(first) :].lstrip()
    if first in KEYWORDS and (not rest or (rest[:1].isalnum() and mistake.at <= len(first) + 1)):
        return f"`{first}` without what it needs", 0, len(first), _form(first)
    known = nearest(first, KEYWORDS)
    follows = mistake.before == first and (rest[:1].isalpha() or rest[:1] == ":")
    if known and follows and known != first:
        return f"unknown statement '{first}'", 0, len(first), f"did you mean '{known}'?"
    if first in KEYWORDS and follows and rest[:1] == ":":
        return f"`{first}` is not a heading", 0, len(first), _form(first)
    return None


def _form(keyword: str) -> str:
    forms = {
        "cascade": "cascade NAME",
        "shape": "shape M0 = 256, M1 = M / M0",
        "param": "param scale = 1 / sqrt(E)",
        "op": "op f(x, y) = x + y",
        "input": "input A[K, M], B[K, N]",
        "output": "output Z[M, N]",
        "tensor": "tensor QK[M, P] empty = -inf",
        "stop": "stop: i >= K",
        "loop": "loop m1:",
    }
    return f"write it like `{forms.get(keyword, keyword + ':')}`"


def _brackets(mistake: Mistake) -> Finding | None:
    """Brackets that do not match, wherever the parser noticed."""
    opened: list[tuple[str, int]] = []
    for i, char in enumerate(mistake.text):
        if char in CLOSING:
            opened.append((char, i))
        elif char in PAIRS:
            if not opened:
                return (
                    f"'{char}' closes a bracket that was never opened",
                    i,
                    i + 1,
                    f"remove it, or open with '{PAIRS[char]}'",
                )
            opener, _ = opened.pop()
            if opener != PAIRS[char]:
                return f"'{char}' closes a '{opener}'", i, i + 1, f"write '{CLOSING[opener]}'"
    if opened:
        char, i = opened[-1]
        return f"bracket '{char}' is never closed", i, i + 1, f"add the missing '{CLOSING[char]}'"
    return None


def _braces(mistake: Mistake) -> Finding | None:
    """`A{m}`"""
    if mistake.after[:1] != "{":
        return None
    end = mistake.after.find("}") + 1 or 1
    name, inside = _last_name(mistake.before), mistake.after[1 : end - 1]
    hint = f"write {name}[{inside}] or {name}_{{{inside}}}"
    return "subscripts stand in square brackets", mistake.at, mistake.at + end, hint


def _last_name(before: str) -> str:
    match = re.search(r"[A-Za-z][\w']*$", before)
    return match.group() if match else "A"


def _digit_first(mistake: Mistake) -> Finding | None:
    """`3A[m]`"""
    number = re.search(r"(?<![\w.'])\d[\d.]*$", mistake.text[: mistake.at])
    if not number or not mistake.after[:1].isalpha():
        return None
    name = _word(mistake.after)
    end = mistake.at + len(name)
    return f"'{number.group()}{name}' starts with a digit", number.start(), end, f"write {number.group()} * {name}"


def _one_colon(mistake: Mistake) -> Finding | None:
    """`Z[m] = A[k, m] : reduce[k] max`"""
    if mistake.after[:1] != ":" or mistake.after[:2] == "::" or mistake.depth or "=" not in mistake.before:
        return None
    return "one colon before an action", mistake.at, mistake.at + 1, "actions stand behind two: `:: reduce[k] max`"


def _empty_right(mistake: Mistake) -> Finding | None:
    """`Z[m] =`"""
    if not mistake.before.endswith("=") or mistake.depth or (mistake.after and mistake.after[:2] != "::"):
        return None
    at = len(mistake.before) - 1
    return "nothing on the right of '='", at, at + 1, "write the expression that computes it"


def _two_operators(mistake: Mistake) -> Finding | None:
    """`A[m] * / B[m]`"""
    if (
        mistake.before[-1:] not in _OPERATORS
        or mistake.after[:1] not in _OPERATORS + "="
        or not mistake.before
        or not mistake.after
    ):
        return None
    start = len(mistake.before) - 1
    message = f"two operators in a row, '{mistake.before[-1]}' and '{mistake.after[0]}'"
    return message, start, mistake.at + 1, "remove one, or put the operand between"


def _missing_operand(mistake: Mistake) -> Finding | None:
    """`Z = A[m] *`, `Z = * A[m]`, `max(, x)`"""
    last, next_ = mistake.before[-1:], mistake.after[:1]
    if last and last in _OPERATORS + "<>≤≥≠" and (not next_ or next_ in ")],:}"):
        return f"'{last}' has nothing on its right", len(mistake.before) - 1, len(mistake.before), "add the operand"
    if next_ and next_ in _OPERATORS and last and last in "=([,":
        return f"'{next_}' has nothing on its left", mistake.at, mistake.at + 1, "add the operand"
    if last and last in ",([{" and (not next_ or next_ in ",)]}"):
        what = "subscript" if _innermost(mistake.before) in "[{" else "operand"
        at = mistake.at if next_ else len(mistake.before) - 1
        return f"a {what} is missing after '{last}'", at, at + 1, f"add the {what}, or remove the comma"
    return None


def _innermost(before: str) -> str:
    opened: list[str] = []
    for char in before:
        if char in CLOSING:
            opened.append(char)
        elif char in PAIRS and opened:
            opened.pop()
    return opened[-1] if opened else " "


def _missing_between(mistake: Mistake) -> Finding | None:
    """`Z[m n]`, `max(a b)`, `A[m] B[m]`"""
    last, next_ = mistake.before[-1:], mistake.after[:1]
    ends = last.isalnum() or last in ("'", "]", ")", "}", "∞")
    if not ends or not (next_.isalnum() or next_ in ("(", "[", "∞", ".")):
        return None
    word = _word(mistake.after)
    end = mistake.at + len(word)
    if mistake.depth:
        return f"a comma is missing before '{word}'", mistake.at, end, "separate them with ','"
    if "=" not in mistake.before:
        return _no_equation(mistake)
    return f"an operator is missing before '{word}'", mistake.at, end, "write `*` for a product"


def _no_equation(mistake: Mistake) -> Finding | None:
    """`A[k] * B[k]`, `Z[m] == A[m]`"""
    if mistake.depth or re.search(r"(?<![<>=!])=(?!=)", mistake.before):
        return None
    end = mistake.at + len(_word(mistake.after))
    hint = "an equation is written `T[m] = expression`"
    found = f"'{_word(mistake.after)}'" if mistake.after else "the end of the line"
    return f"expected '=' before {found}", mistake.at, end, hint


def _semicolon(mistake: Mistake) -> Finding | None:
    """`Y = A[k]; Z = Y`"""
    if mistake.after[:1] != ";":
        return None
    return "';' does not separate equations", mistake.at, mistake.at + 1, "write one equation per line"


def _bad_action(mistake: Mistake) -> Finding | None:
    """Anything wrong behind `::`."""
    if "::" not in mistake.before:
        return None
    end = mistake.at + len(_word(mistake.after))
    found = f"'{_word(mistake.after)}'" if mistake.after else "the end of the line"
    hint = "write `:: reduce[m] max`, or EDGE's `:: ⋀_k ×(∩) ⋁_k +(∪)`"
    return f"unexpected {found} in an action", mistake.at, end, hint


def _anything(mistake: Mistake) -> Finding:
    end = mistake.at + len(_word(mistake.after))
    found = f"'{_word(mistake.after)}'" if mistake.after else "end of the line"
    last = re.search(r"[\w']+$|\S$", mistake.before)
    behind = f" after '{last.group()}'" if last else ""
    return f"unexpected {found}{behind}", mistake.at, end, "see grammars/cascade.lark for what may stand here"


RULES: tuple[Rule, ...] = (
    _misspelt_keyword,
    _semicolon,
    _braces,
    _brackets,
    _digit_first,
    _bad_action,
    _one_colon,
    _empty_right,
    _two_operators,
    _missing_operand,
    _missing_between,
    _no_equation,
    _anything,
)
