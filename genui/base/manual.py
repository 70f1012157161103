"""The pages of the manual, `genui/help/*.md`, and searching them.

`index.md` lists the pages in reading order, with a summary of each, and where the pages of kinds
come among them. Some pages are generated, by those who show them.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

PAGES = Path(__file__).parent.parent / "help"
GENERATED = ("keys", "commands")

_TOPIC = re.compile(r"^- \[([\w-]+)\]\(\1\.md\): (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"```.*?^```$|(?:(?!```)[^\n]+\n?)+", re.DOTALL | re.MULTILINE)


class Page(NamedTuple):
    """A page of the manual, of the core or of a kind."""

    topic: str
    summary: str
    """A line for the list of topics."""
    path: Path
    """The Markdown file, which begins with a heading of one #: the page's title."""


class Passage(NamedTuple):
    """A paragraph, an item of a list, a row of a table or an example."""

    topic: str
    headings: str  # above it, separated by ›
    text: str
    line: int  # of the page, in which it begins, from 0


def core_pages() -> tuple[list[Page], list[Page]]:
    """The pages before those of kinds, and the pages after them, in reading order."""
    first, _, last = (PAGES / "index.md").read_text("utf-8").partition("\n## Kinds\n")
    before, after = (
        [Page(topic, summary, PAGES / f"{topic}.md") for topic, summary in _TOPIC.findall(part)]
        for part in (first, last)
    )
    return before, after


def title_of(page: str) -> str:
    """The title of a page, which is Markdown: its first heading; "" without one."""
    heading = re.search(r"^#+ (.+)$", page, re.MULTILINE)
    return heading[1] if heading else ""


def find_passages(passages: Iterable[Passage], words: str) -> list[Passage]:
    """Return the passages with all words, ignoring case, in their text or headings.

    Those with more of the words in their text come first.
    """
    terms = words.casefold().split()
    ranked = []
    for passage in passages:
        text = passage.text.casefold()
        within = sum(word in text for word in terms)
        around = f"{passage.topic} {passage.headings} {text}".casefold()
        if within and all(word in around for word in terms):
            ranked.append((-within, passage))
    return [passage for _, passage in sorted(ranked, key=lambda pair: pair[0])]


def list_passages(topic: str, page: str) -> Iterator[Passage]:
    """List the passages of a page, which is Markdown."""
    headings: list[str] = []
    for block in _BLOCK.finditer(page):
        for text, start in _split_block(block[0], topic, headings):
            line = page.count("\n", 0, block.start() + start)
            yield Passage(topic, " › ".join(headings), text.strip(), line)


def _split_block(block: str, topic: str, headings: list[str]) -> Iterator[tuple[str, int]]:
    """Split a block into the texts of its passages, each with its first character in the block. A
    heading above them replaces the headings in `headings` of its level and below."""
    start = 0
    if heading := re.match(r"(#+) (.+)", block):
        del headings[len(heading[1]) - 1 :]
        headings.append(heading[2])
        start = heading.end()
    if block.startswith("```"):
        start, block = block.index("\n") + 1, block.rpartition("\n")[0]
        # A key or an option each.
        between = r"\n(?= {0,2}\S)" if topic in GENERATED else r"\Z"
    elif block.startswith("|"):
        between = r"\n"
    else:
        between = r"\n(?=- |\d+\. )"
    for part in re.split(between, block[start:]):
        text = part
        if block.startswith("|"):
            text = "" if re.match(r"\|[-|]+\|$", part) else _join_cells(part)
        if text.strip():
            yield text, start + len(part) - len(part.lstrip("\n"))
        start += len(part) + 1  # the new line between them


def _join_cells(row: str) -> str:
    cells = (cell.strip() for cell in re.split(r"(?<!\\)\|", row))
    return "  ".join(cell.replace("\\|", "|") for cell in cells if cell)
