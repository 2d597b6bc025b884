"""The most likely cause of a syntax error, in the user's terms: one short rule after another, the first that fits."""

from __future__ import annotations

import re
from collections.abc import Callable

from lark import UnexpectedInput, UnexpectedToken

from fusemax.errors import Problem, Source, Span, nearest
from fusemax.ir.operators import FUNCTIONS
from fusemax.syntax.cascade.lines import DECLARING, HEADINGS
from fusemax.syntax.source import CLOSING, PAIRS, Finding, Mistake, shown, without_comments, word_of

KEYWORDS = (*DECLARING, *HEADINGS)
_OPERATORS = frozenset("+ - * / ^ × ∗ ÷ − · ⋅ . < <= > >= == != ≤ ≥ ≠".split())
_EQUATION = "an equation is written `T[m] = expression`"
_FORMS = {
    "cascade": "cascade NAME",
    "shape": "shape M0 = 256, M1 = M / M0",
    "param": "param scale = 1 / sqrt(E)",
    "op": "op f(x, y) = x + y",
    "input": "input A[K, M], B[K, N]",
    "output": "output Z[M, N]",
    "tensor": "tensor QK[M, P] empty = -inf",
    "init": "init:",
    "loop": "loop m1:",
    "stop": "stop: i >= K",
    "final": "final:",
}
_SUMMED = "drop it: a variable that stands on the right alone is summed"
_JOINED = "multiply or add comparisons; filters are joined by `and`"
_CHOICE = "write `where(condition, a, b)`"
_FOREIGN = {
    "if": _CHOICE, "else": _CHOICE, "?": _CHOICE, "Σ": _SUMMED, "∑": _SUMMED, "\\": "write it without LaTeX commands",
    "²": "write `^2`", "³": "write `^3`", "&": _JOINED, "|": _JOINED, "!": "compare with `!=`, or write `1 - x`",
    '"': "write names without quotes", "'": "a `'` belongs directly behind a name", "$": "write formulas without `$`",
    "@": "write `*` and name the subscripts", "~": "write `1 - x`", "...": "name every subscript",
    "√": "write `sqrt(x)`", "%": "write `x - floor(x / y) * y`", "`": "write equations without quotes",
}  # fmt: skip
_NAMES = {
    "NAME": "a name", "NUMBER": "a number", "LPAR": "'('", "RPAR": "')'", "RSQB": "']'",
    "COMMA": "','", "COLON": "':'", "TIMES": "an operator", "__ANON_0": "'::'", "$END": "the end of the line",
}  # fmt: skip

Rule = Callable[[Mistake], Finding | None]


def diagnose(error: UnexpectedInput, text: str, source: Source, offset: int) -> Problem:
    """The problem behind Lark's error in a statement that starts at `offset` of the source."""
    at, expected = error.pos_in_stream, frozenset[str]()
    if isinstance(error, UnexpectedToken):
        expected = frozenset(error.expected)
        if error.token.type == "$END":
            at = len(text)
    mistake = Mistake(without_comments(text), at or 0, expected)
    found = next(finding for rule in RULES if (finding := rule(mistake)) is not None)
    return Problem(found.message, Span(source, offset + found.start, offset + found.end), found.hint)


# ------------------------------------------------------------------------------------------- statements as a whole


def _misspelt_keyword(mistake: Mistake) -> Finding | None:
    """`inptu K[E]`, `Input K[E]`"""
    first, rest = mistake.first, mistake.text[len(mistake.first) :].lstrip()
    known = nearest(first, KEYWORDS)
    if known and known != first and mistake.before == first and (rest[:1].isalpha() or rest[:1] == ":"):
        return Finding(f"unknown statement '{first}'", 0, len(first), f"did you mean `{known}`?")
    return None


def _heading(mistake: Mistake) -> Finding | None:
    """`loop m1`, `Initialization`, `init: RM[0] = 0`"""
    text = mistake.text.rstrip()
    if re.fullmatch(r"init|loop(\s+\w+)?|final|[Ii]nitialization|[Ee]xtended\s+[Ee]insums?", text):
        return Finding("a heading without ':'", 0, len(text), _form_of(text))
    if mistake.before.endswith(":") and mistake.first in ("init", "loop", "final"):
        return mistake.here("an equation behind a heading", "write it on a line of its own")
    return None


def _keyword(mistake: Mistake) -> Finding | None:
    """`input`, `input 3`, `stop m >= 3`, `loop m1, m2:`"""
    first, rest = mistake.first, mistake.text[len(mistake.first) :].strip()
    if first not in KEYWORDS or mistake.before not in ("", first):
        return None
    if not rest:
        return Finding(f"`{first}` with nothing behind it", 0, len(first), _form_of(first))
    if rest[:1].isalnum() or (first in HEADINGS and ":" in rest):
        start, word = mistake.text.index(rest, len(first)), word_of(rest)
        return Finding(f"unexpected {shown(word)} after `{first}`", start, start + len(word), _form_of(first))
    return None


def _form_of(keyword: str) -> str:
    papers = {"Initialization": "Initialization:", "Extended": "Extended Einsums:"}
    first = word_of(keyword)
    return f"write it like `{_FORMS.get(first) or papers.get(first.capitalize(), first)}`"


def _start(mistake: Mistake) -> Finding | None:
    """`= 3`, `:: reduce[k] max`, `3 = A[k]`, `- Z[m] = A[m]`"""
    if mistake.before:
        return None
    if mistake.word in ("=", "=="):
        return mistake.here("nothing on the left of '='", "name the tensor that the equation computes: `T[m] = ...`")
    if mistake.word == "::":
        return mistake.here("an action without an equation", "actions stand behind the right side of an equation")
    if mistake.word in ("⋄", "<"):
        return mistake.here(f"{shown(mistake.word)} without ':'", _form_of("stop"))
    return mistake.here(f"a statement cannot start with {shown(mistake.word)}", _EQUATION)


# --------------------------------------------------------------------------------------------- characters and brackets


def _semicolon(mistake: Mistake) -> Finding | None:
    """`Y = A[k]; Z = Y`"""
    if mistake.word == ";":
        return mistake.here("';' does not separate equations", "write one equation per line")
    return None


def _foreign(mistake: Mistake) -> Finding | None:
    """Symbols of other languages: `if`, `&&`, `Σ`, quotes, letters outside of ASCII, invisible characters."""
    word = mistake.word
    hint = _FOREIGN.get(word) or _FOREIGN.get(word[:1])
    if hint and not (word in ("if", "else") and mistake.after[len(word) :].lstrip()[:1] == "["):
        return mistake.here(f"{shown(word)} is not part of the language", hint)
    if word and not word.isprintable():
        return mistake.here(f"{shown(word)} in the text", "remove this invisible character")
    if word and not word.isascii() and word.isalnum():
        return mistake.here(f"{shown(word)} in a name", "names have the letters A-Z and a-z, digits, `_` and `'`")
    return None


def _braces(mistake: Mistake) -> Finding | None:
    """`A{m}`, `input A(K, M)`"""
    if mistake.word != "{" and not (mistake.declares and mistake.word == "("):
        return None
    closed = mistake.after.find("}" if mistake.word == "{" else ")")
    end = closed + 1 if closed > 0 else len(mistake.after)
    name = mistake.last if mistake.last[:1].isalpha() else "A"
    inside = mistake.after[1 : end - (closed > 0)].strip()
    hint = f"write {name}[{inside}]"
    return Finding("subscripts stand in square brackets", mistake.at, mistake.at + end, hint)


def _brackets(mistake: Mistake) -> Finding | None:
    """Brackets that do not match, wherever the parser noticed."""
    opened: list[tuple[str, int]] = []
    for i, char in enumerate(mistake.text):
        if char in CLOSING:
            opened.append((char, i))
        elif char in PAIRS and not opened:
            hint = f"remove it, or open with '{PAIRS[char]}'"
            return Finding(f"'{char}' closes a bracket that was never opened", i, i + 1, hint)
        elif char in PAIRS and opened[-1][0] == PAIRS[char]:
            opened.pop()
        elif char in PAIRS:
            opener = opened[-1][0]
            return Finding(f"'{char}' closes a '{opener}'", i, i + 1, f"write '{CLOSING[opener]}'")
    if opened:
        char, i = opened[-1]
        return Finding(f"bracket '{char}' is never closed", i, i + 1, f"add the missing '{CLOSING[char]}'")
    return None


def _second_brackets(mistake: Mistake) -> Finding | None:
    """`A[m][k]`"""
    if mistake.word == "[" and mistake.last in ("]", "}"):
        return mistake.here("a second pair of brackets behind a tensor", "separate all subscripts with ',': `A[m, k]`")
    return None


# ------------------------------------------------------------------------------------------- equations and declarations


def _bare_subscripts(mistake: Mistake) -> Finding | None:
    """`A_m,k = B_k`"""
    if mistake.word != "," or mistake.opened or "_" not in mistake.last:
        return None
    rest = re.match(r"[\s,\w]*", mistake.after)
    name, *subscripts = re.findall(r"[^\s,_]+", mistake.last + (rest.group() if rest else ""))
    hint = f"write {name}[{', '.join(subscripts)}], or {name}_{{{','.join(subscripts)}}}"
    return mistake.here("a comma outside of brackets", hint)


def _declaration(mistake: Mistake) -> Finding | None:
    """`tensor A[M] = 3`, `tensor A[M] emtpy = 3`"""
    if not mistake.declares or mistake.opened:
        return None
    if mistake.word == "=":
        return mistake.here("'=' in a declaration", "write the equation on a line of its own")
    if nearest(mistake.word, ["empty"]):
        return mistake.here(f"unexpected '{mistake.word}' in a declaration", _form_of("tensor"))
    return None


def _assignment(mistake: Mistake) -> Finding | None:
    """`Z[m] == A[m]`, `Z[m] -= A[m]`, `Z[m] = A[m] = B[m]`, `A[m] + B[m] = C[m]`, `hello world`"""
    word = mistake.word
    if mistake.opened and word == "=":
        return mistake.here("'=' inside of brackets", "a filter follows a colon, and compares with `==`: `m: m == 3`")
    if mistake.opened or mistake.declares or mistake.first in ("cascade", "stop"):
        return None
    if mistake.assigned and word == "=":
        return mistake.here("a second '='", "write one equation per line, and compare with `==`")
    if mistake.assigned:
        return None
    if word == "==":
        return mistake.here("'==' compares two values", "write `=` in an equation")
    if word in ("-=", "/=", "^="):
        return mistake.here(f"'{word}' is not a reduction", "reductions are `+=`, `*=`, `max=` and `min=`")
    if mistake.first in DECLARING and mistake.before != mistake.first:
        return mistake.here(f"expected '=' {_where(mistake)}", _form_of(mistake.first))
    return mistake.here(f"expected '=' {_where(mistake)}", _EQUATION)


def _where(mistake: Mistake) -> str:
    return f"before {shown(mistake.word)}" if mistake.word else "at the end of the line"


def _one_colon(mistake: Mistake) -> Finding | None:
    """`Z[m] = A[k, m] : reduce[k] max`"""
    if mistake.word != ":" or mistake.opened or not mistake.assigned:
        return None
    if word_of(mistake.after[1:].lstrip()).startswith(("reduce", "map", "⋁", "⋀")):
        return mistake.here("one colon before an action", "actions stand behind two: `:: reduce[k] max`")
    return mistake.here("a colon outside of brackets", "filters stand inside: `A[m: m <= p]`; actions behind `::`")


def _bad_action(mistake: Mistake) -> Finding | None:
    """Anything wrong behind `::`."""
    if "::" not in mistake.before:
        return None
    form = "write `:: reduce[m] max`, or EDGE's `:: ⋀_k ×(∩) ⋁_k +(∪)`"
    if mistake.last == "::" and mistake.word:
        return mistake.here(f"an action starts with `reduce` or `map`, not {shown(mistake.word)}", form)
    if mistake.last == "::":
        return mistake.behind("nothing behind '::'", form)
    if not mistake.word:
        return mistake.here("an action without an operator", "operators that reduce are + * max min and or")
    return mistake.here(f"unexpected {shown(mistake.word)} in an action", form)


# ------------------------------------------------------------------------------------------------------- expressions


def _digit_first(mistake: Mistake) -> Finding | None:
    """`3A[m]`, `1.2.3`, `1.`"""
    if re.fullmatch(r"[0-9]+\.", mistake.last):
        return mistake.behind(f"'{mistake.last}' is not a number", f"write {mistake.last}0")
    start = re.search(r"(?<![\w.'])[0-9][\w.]*$", mistake.before)
    rest = re.match(r"[\w.']+", mistake.after)
    if not start or not rest or len(mistake.before) < mistake.at:
        return None
    number, name = start.group(), rest.group()
    end = mistake.at + len(name)
    if name[:1].isalpha():
        return Finding(f"'{number}{name}' starts with a digit", start.start(), end, f"write {number} * {name}")
    return Finding(f"'{number}{name}' is not a number", start.start(), end, "write it like 1, 0.5 or 1e-6")


def _empty_right(mistake: Mistake) -> Finding | None:
    """`Z[m] =`, `stop: i >=`"""
    if mistake.last in ("=", ">=", "≥") and not mistake.opened and (not mistake.word or mistake.word == "::"):
        return mistake.behind(f"nothing on the right of '{mistake.last}'", "write an expression there")
    return None


def _power(mistake: Mistake) -> Finding | None:
    """`A[m] ** 2`"""
    if mistake.word == "*" and mistake.before.endswith("*") and len(mistake.before) == mistake.at:
        return Finding("'**' is not an operator", mistake.at - 1, mistake.at + 1, "write `^` for a power")
    return None


def _two_operators(mistake: Mistake) -> Finding | None:
    """`A[m] * / B[m]`"""
    word = mistake.word if mistake.word in _OPERATORS or not mistake.word else mistake.word[0]
    if mistake.last not in _OPERATORS or word not in _OPERATORS | {"="}:
        return None
    message = f"two operators in a row, '{mistake.last}' and '{word}'"
    start = len(mistake.before) - len(mistake.last)
    return Finding(message, start, mistake.at + len(word), "remove one, or write the operand between them")


def _missing_operand(mistake: Mistake) -> Finding | None:
    """`Z = A[m] *`, `Z = * A[m]`, `max(, x)`, `A[:, m]`, `A[m:]`"""
    last, word = mistake.last, mistake.word
    closes = not word or word in ")],:}"
    if last in _OPERATORS and closes:
        return mistake.behind(f"'{last}' has nothing on its right", "add the missing operand")
    if word == ":" and last and last in "([,{":
        return mistake.here("':' has nothing on its left", "write a rank variable for each subscript")
    if word in _OPERATORS and last and last in "=([,{":
        return mistake.here(f"'{word}' has nothing on its left", "add the missing operand")
    if last == ":" and closes:
        return mistake.behind("nothing behind ':'", "write a filter, `m: m <= p`, or the index of a rank, `M: p`")
    if last and last in ",([{" and closes:
        what = "a subscript" if mistake.opened[-1:] in ("[", "{") else "an operand"
        hint = "add it, or remove the ','" if "," in last + word else "add it"
        return mistake.here(f"{what} is missing after '{last}'", hint)
    return None


def _missing_between(mistake: Mistake) -> Finding | None:
    """`Z[m n]`, `max(a b)`, `A[m] B[m]`, `exp A[m]`, `input A[M] B[M]`"""
    last, word = mistake.last, mistake.word
    ends = last[-1:].isalnum() or last[-1:] in ("'", "]", ")", "}", "∞", "_")
    if not ends or not (word[:1].isalnum() or word in ("(", "∞")):
        return None
    if last in FUNCTIONS and not mistake.before.endswith("]"):
        return mistake.behind(f"function '{last}' without parentheses", f"write `{last}(...)`")
    if mistake.opened or mistake.declares or (mistake.first == "shape" and mistake.assigned):
        return mistake.here(f"a comma is missing before '{word}'", "separate them with ','")
    if mistake.first == "cascade":
        return mistake.here(f"'{word}' behind the name of the cascade", "join the words of the name with '-'")
    if mistake.assigned or mistake.first == "stop":
        return mistake.here(f"an operator is missing before '{word}'", "write `*` for a product")
    return None


def _comma(mistake: Mistake) -> Finding | None:
    """`Z[m] = A[m], B[m]`"""
    if mistake.word == "," and not mistake.opened:
        return mistake.here("a comma outside of brackets", "write one equation per line")
    return None


def _anything(mistake: Mistake) -> Finding:
    found = shown(mistake.word) if mistake.word else "end of the line"
    behind = f" after '{mistake.last}'" if mistake.last else ""
    if mistake.first in KEYWORDS:
        return mistake.here(f"unexpected {found}{behind}", _form_of(mistake.first))
    return mistake.here(f"unexpected {found}{behind}", f"here may stand {_alternatives(mistake)}")


def _alternatives(mistake: Mistake) -> str:
    """The tokens that could stand at a place, in words."""
    closers = {"RPAR": "(", "RSQB": "["}
    outside = not mistake.opened
    known = [
        name
        for token, name in _NAMES.items()
        if token in mistake.expected
        and closers.get(token, mistake.opened[-1:]) == mistake.opened[-1:]
        and outside is (token in ("__ANON_0", "$END") or (outside and token not in ("COMMA", "COLON")))
    ]
    return " or ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known) or "nothing else"


RULES: tuple[Rule, ...] = (
    _misspelt_keyword,
    _heading,
    _keyword,
    _semicolon,
    _foreign,
    _braces,
    _brackets,
    _start,
    _digit_first,
    _second_brackets,
    _bare_subscripts,
    _bad_action,
    _empty_right,
    _power,
    _two_operators,
    _missing_operand,
    _declaration,
    _one_colon,
    _missing_between,
    _assignment,
    _comma,
    _anything,
)
