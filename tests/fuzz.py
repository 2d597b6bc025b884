"""Random and damaged texts against the parser and the checker.

    python tests/fuzz.py --count 100000 [--seed N]

Nothing but `FusemaxError` may come out of a text, and what parses must print as a text that parses to the same. The
texts are pieces of the shipped cascades, of the texts in tests/golden/refusals and of TeAAL specifications, damaged
at characters, words and lines, and words in random order. A failure is printed with the text that causes it.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from fusemax import Cascade, FusemaxError, check, parse
from fusemax.syntax.importers.teaal import parse_teaal

ROOT = Path(__file__).parent.parent
TEAAL = """einsum:
  declaration:
    A: [K, M]
    Z: [M]
  expressions:
    - T[k, m] = take(A[k, m], B[k, n], 0)
    - 'Z[m] = T[k, m] · A[k, m]'
mapping: {Z: [K, M]}
"""
WORDS = (
    "A B Z QK Z' Z_m Z_{ m k p m1 m0 i e inf M K M0 M1 I W 0 1 2 3A 0.5 1e-6 1e999 99999999999999999999 [ ] ( ) { } , : "
    ":: = == <= >= < > != + - * / ^ . · × ÷ − ∞ ≤ ≥ ≠ ⋄ <> ⋀_k ⋁_k ×(∩) +(∪) /\\_k \\/_k *(^) +(v) reduce[k] reduce map "
    "max min and or exp max( e^( exp( where( take( += max= i+1 m1*M0+m0 A[m] A[k,m] X[i+1] X[i] X[0] X[I] Z[m] m:m<=p "
    "cascade shape param op input output tensor empty init: loop loop:i final: stop: # ; 'x' \n \n \n \t"
).split(" ")
CHARACTERS = (
    "AZmk0159_'[](){},:;=<>!+-*/^.#\n\t \"\\|&%$@~`?·×÷−∞≤≥≠⋄⋀⋁∩∪αé²√\x00\x07\x1b\x85\u00a0\u200b\u2028\ufeff\U0001d7d9"
)


def corpus() -> list[str]:
    """The texts that are damaged."""
    files = sorted((ROOT / "cascades").glob("*.cascade")) + sorted((ROOT / "tests/golden/refusals").glob("*.txt"))
    texts = [file.read_text(encoding="utf-8") for file in files]
    return [part for text in texts for part in re.split(r"####.*\n|--------[^#]*", text) if part.strip()]


def texts(random: Random, count: int) -> Iterator[str]:
    """Texts to try, the same ones for the same seed."""
    known = corpus()
    for _ in range(count):
        kind = random.random()
        if kind < 0.02:
            yield extreme(random)
        elif kind < 0.12:
            yield " ".join(random.choices(WORDS, k=random.randint(1, 25)))
        elif kind < 0.16:
            yield damaged(random, TEAAL, TEAAL)
        else:
            yield damaged(random, piece(random, known), piece(random, known))


def piece(random: Random, known: list[str]) -> str:
    """A few lines of a known text; now and then all of it."""
    lines = random.choice(known).split("\n")
    if random.random() < 0.01:
        return "\n".join(lines)
    start = random.randrange(len(lines))
    return "\n".join(lines[start : start + random.choice((1, 1, 2, 2, 3, 4, 6))])


def damaged(random: Random, text: str, other: str) -> str:
    """The text after a few mutations."""
    for _ in range(random.choice((0, 0, 1, 1, 2, 3))):
        text = random.choice(MUTATIONS)(random, text, other)
    return text


def change_character(random: Random, text: str, _: str) -> str:
    """A character more, less or other."""
    at = random.randint(0, len(text))
    new: str = random.choice(CHARACTERS) if random.random() < 0.8 else ""
    return text[:at] + new + text[at + random.randint(0, 1) :]


def change_word(random: Random, text: str, other: str) -> str:
    """A word more, less or other, or one of another text."""
    words = re.split(r"(\w+|\s+)", text)
    at = random.randrange(len(words))
    word = random.choice((*random.sample(WORDS, 3), *random.choices(re.split(r"(\w+|\s+)", other), k=2)))
    return "".join((*words[:at], word, *words[at + random.randint(0, 1) :]))


def swap_words(random: Random, text: str, _: str) -> str:
    """Two words in each other's place."""
    words = re.split(r"(\w+)", text)
    i, j = random.randrange(len(words)), random.randrange(len(words))
    words[i], words[j] = words[j], words[i]
    return "".join(words)


def change_lines(random: Random, text: str, other: str) -> str:
    """Lines doubled, moved, joined, or from another text."""
    lines, others = text.split("\n"), other.split("\n")
    at = random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            lines.insert(at, random.choice(lines))
        case 1:
            lines.insert(at, random.choice(others))
        case 2:
            random.shuffle(lines)
        case _:
            lines[at : at + 2] = [" ".join(lines[at : at + 2])]
    return "\n".join(lines)


def cut(random: Random, text: str, other: str) -> str:
    """The beginning of one text, and perhaps the end of another."""
    at = random.randint(0, len(text))
    return text[:at] + random.choice(("", other[random.randint(0, len(other)) :]))


MUTATIONS: tuple[Callable[[Random, str, str], str], ...] = (
    change_character, change_character, change_word, change_word, swap_words, change_lines, cut,
)  # fmt: skip


def extreme(random: Random) -> str:
    """A text that is long, deep, or full of large numbers."""
    n = random.choice((50, 99, 100, 101, 102, 500, 3000))
    digits = "".join(random.choices("123456789", k=random.randint(1, 40)))
    return random.choice(
        (
            f"Z[m] = {'(' * n}A[m]{')' * random.choice((n, n - 1))}",
            f"Z[m] = {'-' * n}A[m]",
            f"Z[m] = A[m]{random.choice(('+1', '*A[m]', '^2', '<1'))}" * 1 + random.choice(("+1", "*2", "^2")) * n,
            f"Z[m] = {'exp(' * n}A[m]{')' * n}",
            f"Z[m] = A[{digits}*m + {digits}] * {digits} + {digits}.{digits}e{digits[:4]}",
            f"shape M = {digits}, N = M * M * M * M, K = N ^ {digits[:2]} / M\nZ[m] = A[m, n]",
            f"Z[m] = A[{'*'.join(['M'] * n)}*m + {'+'.join(['(M + N)'] * min(n, 99))}]",
            f"Z[m] = A[{'*'.join(['(A + B + C + D + E)'] * min(n, 60))}]",
            f"Z[{', '.join(f'm{i}' for i in range(n))}] = A[{', '.join(f'm{i}' for i in range(n))}]",
            f"Z[m: {' and '.join(['m < 3'] * n)}] = A[m: m {'< m ' * n}]",
            "\n".join(f"A{i + 1}[m] = A{i}[m] * A{i}[m]" for i in range(min(n, 200))),
            "[" * n + "\n" * n + "]" * n,
            "#" * n + "\n" * n,
        )
    )


def try_text(text: str) -> bool:
    """Parse and check a text; whether it parses. Raises whatever a text must not cause."""
    read: Callable[[str], Cascade] = parse_teaal if "einsum" in text else parse
    try:
        cascade = read(text)
    except FusemaxError as error:
        assert str(error), "an error without a text"
        return False
    printed = str(cascade)
    again = parse(printed)
    assert again == cascade, "printing and parsing gives another cascade"
    assert str(again) == printed, "printing twice gives another text"
    try:
        check(cascade, complete=False)
    except FusemaxError as error:
        assert str(error), "an error without a text"
    return True


def run(count: int, seed: int) -> tuple[int, list[str]]:
    """How many of `count` texts parse, and the failures: text and traceback of each."""
    parsed, failures = 0, []
    for text in texts(Random(seed), count):
        try:
            parsed += try_text(text)
        except Exception:  # whatever it is, it is what we look for
            failures.append(f"{text!r}\n{traceback.format_exc()}")
    return parsed, failures


def main() -> int:
    """Run from the command line; 1 if a text causes what it must not."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--count", type=int, default=100_000, help="how many texts")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    start = time.perf_counter()
    parsed, failures = run(options.count, options.seed)
    seconds = time.perf_counter() - start
    for failure in failures[:10]:
        print(failure, file=sys.stderr)
    rate = options.count / seconds
    print(
        f"{options.count} texts, {parsed} of them parse, {len(failures)} failures, {seconds:.1f} s, {rate:.0f} texts/s"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
