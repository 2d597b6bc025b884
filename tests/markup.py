"""A reader of HTML that takes nothing on trust: every tag closed, in order, and text as a browser shows it."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = frozenset({"br", "hr", "img"})


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a tag."""
        self.tags.append(tag)
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        """Text belongs to the cell in which it stands, if it stands in one."""
        if "td" in self.stack or "th" in self.stack:
            self.rows[-1][-1] += data
        else:
            self.texts.append(data)


def read_html(text: str) -> tuple[list[list[str]], list[str]]:
    """The cells of all table rows, and the texts outside of them; fails unless the markup is well-formed."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.stack == [], f"never closed: {reader.stack}"
    assert "script" not in reader.tags
    return reader.rows, reader.texts
