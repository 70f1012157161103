"""The window of the manual: its pages, with links between them, and a search of all pages."""

from __future__ import annotations

import asyncio
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Markdown, MarkdownViewer
from textual.widgets.markdown import MarkdownBlock, MarkdownTableOfContents

from genui.base.errors import GenuiError
from genui.base.manual import Passage, find_passages, list_passages, title_of
from genui.base.text import clean_line
from genui.protocol.kinds import KINDS, Kind
from genui.protocol.manual import read_page, topics
from genui.ui.keys import Key, Scope, keys_markdown
from genui.ui.lifecycle import guard, is_usable
from genui.ui.widgets.dialogs import ChooseScreen, Window
from genui.ui.widgets.inputs import FilterLine, LineInput
from genui.ui.widgets.lists import ListRow, RowList

_TOPICS: Mapping[Scope, str] = MappingProxyType(
    {"app": "start", "tour": "start", "board": "watching", "runs": "watching"}
)
"""For scopes that no kind brings; a scope without a row has the page of its name."""


def topic_of(scope: Scope, medium: str = "") -> str:
    """The topic of the kind that has these keys, and whose samples are of that medium, if any; a
    page of the core, which is about more than one kind, comes first."""
    kinds = [kind for kind in KINDS.values() if scope in _scopes_of(kind)]
    kinds.sort(key=lambda kind: (kind.medium != medium, not isinstance(kind.help, str)))
    return kinds[0].topic if kinds else _TOPICS.get(scope, scope)


def _scopes_of(kind: Kind) -> set[Scope]:
    rows = kind.keys() if kind.keys else ()
    return {kind.pane} | {row.pane for row in rows if isinstance(row, Key)}


SNIPPET, BEFORE = 120, 16  # characters of a passage in the list; of the passages, before the words
_KEYS = "esc close · / search · i topics · t contents · ← → pages"
_SEARCH_KEYS = "⏎ open · ↑ ↓ choose · esc back to the page"


class ManualScreen(Window[None]):
    """A page of the manual, with links to other pages, a history and a search of all pages."""

    AUTO_FOCUS = ""  # the page, once it is there, and not the line of the search
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1", "leave", "Close", show=False),
        Binding("slash", "search", "Search", show=False),
        Binding("n", "next(1)", "Next match", show=False),
        Binding("N", "next(-1)", "Previous match", show=False),
        Binding("i", "topics", "Topics", show=False),
        Binding("t", "contents", "Contents of the page", show=False),
        Binding("left,backspace", "back", "Back", show=False),
        Binding("right", "forward", "Forward", show=False),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
        Binding("pagedown,space", "scroll_page(1)", "Page down", show=False),
        Binding("pageup", "scroll_page(-1)", "Page up", show=False),
        Binding("home", "end(-1)", "Beginning", show=False),
        Binding("end", "end(1)", "End", show=False),
    ]

    def __init__(
        self, pane: Scope, medium: str = "", keymap: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__()
        self._first = topic_of(pane, medium)
        self._keymap = keymap
        self._passages: list[Passage] = []  # of all pages; empty until the first search
        self._found: list[Passage] = []
        self._at = 0  # in those found
        self._line: int | None = None  # of the page that is opened, to be shown at the top

    def compose(self) -> ComposeResult:
        with Vertical(classes="window manual"):
            yield FilterLine(placeholder="words to find in all pages", compact=True)
            yield RowList()
            yield _Viewer(self._keymap)

    async def on_mount(self) -> None:
        self.query_one(".window").border_subtitle = _KEYS
        await self._viewer.go(f"{self._first}.md")

    @property
    def _viewer(self) -> _Viewer:
        return self.query_one(_Viewer)

    @on(MarkdownViewer.NavigatorUpdated)
    def _page_opened(self) -> None:
        viewer = self._viewer
        title = clean_line(title_of(viewer.document.source), 60)
        self.query_one(".window").border_title = f"Manual: {title}"
        if self._line is not None:
            self.call_after_refresh(self._show_line, self._line)
        elif "#" not in str(viewer.navigator.location):
            viewer.scroll_home(animate=False)
        self._line = None
        if not self.query_one(".window").has_class("-searching"):
            viewer.document.focus(scroll_visible=False)

    # --- the search -------------------------------------------------------------------

    def action_search(self) -> None:
        """Open the line of the search, which lists passages of all pages while it is typed."""
        window = self.query_one(".window")
        window.add_class("-searching")
        window.border_subtitle = _SEARCH_KEYS
        self.set_focus(self.query_one(FilterLine))
        if not self._passages:
            self._read_pages()
        self._search()

    @work(group="pages", exclusive=True, exit_on_error=False)
    async def _read_pages(self) -> None:
        """Read all pages; the page of the commands, which is slow to make, comes last."""
        self._passages = await asyncio.to_thread(_list_all, self._keymap)
        self._search()
        self._passages += list_passages("commands", await _run_help("commands"))
        self._search()

    @on(LineInput.Changed)
    def _search(self) -> None:
        if not self.query(".-searching"):
            return  # pages that are read late do not change what n goes through
        words = self.query_one(FilterLine).value
        self._found = find_passages(self._passages, words)
        rows = [_passage_row(place, found, words) for place, found in enumerate(self._found)]
        empty = "no passage has all of these words" if words.strip() and self._passages else ""
        self.query_one(RowList).set_rows(rows, empty)

    @on(FilterLine.Left)
    def _move(self, event: FilterLine.Left) -> None:
        self.query_one(RowList).action_move(event.by)

    @on(LineInput.Submitted)
    @on(RowList.Opened)
    async def _open_found(self) -> None:
        if chosen := self.query_one(RowList).chosen:
            await self._show_found(int(chosen))

    async def action_next(self, by: int) -> None:
        """Open the next of the passages found or, with -1, the one before."""
        if self._found:
            await self._show_found((self._at + by) % len(self._found))
        else:
            self.action_search()

    async def _show_found(self, place: int) -> None:
        """Open the page of a passage found, at its line."""
        self._close_search()
        self._at, found = place, self._found[place]
        keys = (
            f"match {place + 1} of {len(self._found)} · n next · N previous · / search · esc close"
        )
        self.query_one(".window").border_subtitle = keys
        self._line = found.line
        await self._viewer.go(f"{found.topic}.md")

    def _close_search(self) -> None:
        self.query_one(".window").remove_class("-searching")
        self._viewer.document.focus(scroll_visible=False)

    @on(LineInput.Cancelled)
    def _search_cancelled(self, event: LineInput.Cancelled) -> None:
        event.prevent_default()  # which closes the window
        event.stop()
        self.query_one(".window").border_subtitle = _KEYS
        self._close_search()

    def _show_line(self, line: int) -> None:
        """Scroll to a line of the page's Markdown, and mark its block."""
        viewer = self._viewer
        blocks = [
            block
            for block in viewer.document.query(MarkdownBlock)
            if block.source_range[0] <= line < block.source_range[1]
        ]
        if blocks:
            block = min(blocks, key=lambda one: one.source_range[1] - one.source_range[0])
            block.add_class("-found")
            # Within an example or a table, a line of the page is one of the screen.
            below = min(line - block.source_range[0], max(block.size.height - 1, 0))
            top = block.region.y - viewer.document.region.y
            viewer.scroll_to(y=top + below, animate=False)

    # --- moving -----------------------------------------------------------------------

    def action_topics(self) -> None:
        rows = [ListRow(name, name, line) for name, line in topics().items()]
        self.app.push_screen(ChooseScreen("Manual", rows, "open", "no pages"), self._open)

    async def _open(self, topic: str | None) -> None:
        if topic is not None and is_usable(self):
            await self._viewer.go(f"{topic}.md")

    def action_contents(self) -> None:
        viewer = self._viewer
        viewer.show_table_of_contents = not viewer.show_table_of_contents
        if viewer.show_table_of_contents:
            viewer.query_one(MarkdownTableOfContents).query_one("Tree").focus()
        else:
            viewer.document.focus(scroll_visible=False)

    async def action_back(self) -> None:
        await self._viewer.back()

    async def action_forward(self) -> None:
        await self._viewer.forward()

    def action_scroll(self, lines: int) -> None:
        self._viewer.scroll_relative(y=lines, animate=False)

    def action_scroll_page(self, pages: int) -> None:
        viewer = self._viewer
        viewer.scroll_relative(y=pages * max(1, viewer.size.height - 2), animate=False)

    def action_end(self, towards: int) -> None:
        viewer = self._viewer
        viewer.scroll_to(y=0 if towards < 0 else viewer.max_scroll_y, animate=False)


@guard
class _Viewer(MarkdownViewer, inherit_bindings=False):
    """Textual's viewer without animation."""

    def __init__(self, keymap: Mapping[str, str]) -> None:
        super().__init__(show_table_of_contents=False, open_links=False)
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        document = _Document(self._keymap)
        document.can_focus = True
        yield document
        yield MarkdownTableOfContents(document)

    async def go(self, location: str | PurePath) -> None:
        """Open a page, unless the window is closing."""
        if is_usable(self):
            await super().go(location)

    @on(Markdown.LinkClicked)
    def _open_address(self, message: Markdown.LinkClicked) -> None:
        if "://" in message.href:  # for which Textual would look for a file
            message.stop()
            message.prevent_default()
            self.app.open_url(message.href)

    @on(Markdown.TableOfContentsUpdated)
    def _skip_contents(self, message: Markdown.TableOfContentsUpdated) -> None:
        """Stop the message if the window is closing: Textual's handler, which is called after
        this one, would look for a table that is removed."""
        if not self.query("MarkdownTableOfContents Tree"):
            message.stop()
            message.prevent_default()


class _Document(Markdown):
    def __init__(self, keymap: Mapping[str, str]) -> None:
        super().__init__(open_links=False)
        self._keymap = keymap

    async def load(self, path: Path) -> None:
        """Load the page of the topic that a path ends in, which may have an anchor."""
        name, anchor = self.sanitize_location(str(path))
        topic = name.stem
        if topic == "keys":
            await self.update(keys_markdown(self._keymap))
        elif topic == "commands":
            await self.update("Reading every command's options …")
            await self.update(await _run_help(topic))
        else:
            await self.update(_read_page(topic))
        if anchor:
            self.goto_anchor(anchor)


async def _run_help(topic: str) -> str:
    """The output of `genui help`, in a process: the ui may not import the shell."""
    command = (sys.executable, "-m", "genui", "help", topic)
    child = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    out, err = await child.communicate()
    return (out or err).decode("utf-8", "replace")


def _list_all(keymap: Mapping[str, str]) -> list[Passage]:
    """The passages of all pages except the page of the commands."""
    passages: list[Passage] = []
    for topic in topics():
        if topic == "keys":
            passages += list_passages(topic, keys_markdown(keymap))
        elif topic != "commands":
            passages += list_passages(topic, _read_page(topic))
    return passages


def _read_page(topic: str) -> str:
    """The page, or its fault."""
    try:
        return read_page(topic)
    except GenuiError as error:
        return str(error)


def _passage_row(place: int, passage: Passage, words: str) -> ListRow:
    """A row with the text of a passage from shortly before the first of the words in it."""
    heading = passage.headings.rpartition(" › ")[2]
    text = _plain_text(passage.text)
    found = (text.casefold().find(word) for word in words.casefold().split())
    first = max(min((at for at in found if at >= 0), default=0) - BEFORE, 0)
    shown = f"{'…' if first else ''}{text[first : first + SNIPPET]}"
    return ListRow(str(place), passage.topic, middle=f"{heading}: {shown}")


@cache
def _plain_text(text: str) -> str:
    """The text of a passage in one line; they are kept, since each typed key lists many of them."""
    return clean_line(re.sub(r"\*\*|`", "", text))
