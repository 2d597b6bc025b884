"""Fixture files of texts and the whole messages that they cause, one case after another.

A case is a line `#### title`, a text, a line of dashes, and the message. `pytest --update-golden` writes the messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "golden" / "refusals"
TITLE, DASHES = "#### ", "--------"


def cases(name: str) -> Iterator[tuple[str, str]]:
    """Title and text of each case of a file."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    for block in text.removeprefix(TITLE).split(f"\n{TITLE}"):
        title, _, rest = block.partition("\n")
        yield title, f"{rest}\n".partition(f"\n{DASHES}\n")[0]


def rendered(name: str, message_of: Callable[[str], str]) -> str:
    """The file with the messages that its texts cause now."""
    blocks = (f"{TITLE}{title}\n{text}\n{DASHES}\n{message_of(text)}\n" for title, text in cases(name))
    return "\n".join(blocks)
