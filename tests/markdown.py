"""Just enough Markdown to check a README: its fenced blocks, the commands in them, its links and headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A fenced block; `mark` is `file: app.py` where the line before it is `<!-- file: app.py -->`."""

    language: str
    text: str
    line: int
    mark: str

    def marked(self, key: str) -> str | None:
        """The value of a mark `key: value`."""
        found, _, value = self.mark.partition(":")
        return value.strip() if found == key else None

    def commands(self) -> list[tuple[str, str]]:
        """What follows each `$ `, lines that end in a backslash joined, and the output shown below it."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", joined, re.MULTILINE)


FENCE = re.compile(r"(?:^<!-- (.*?) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> Iterator[Block]:
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start(3))
        yield Block(found[2], found[3], line, found[1] or "")


def links(text: str) -> list[str]:
    """Where the links of a text lead, `#anchor`, `folder/file` or `https://…`."""
    return re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The names by which GitHub lets one link to the headings of a text."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
