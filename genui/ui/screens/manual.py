"""The manual in a window: the pages that `genui help` prints."""

import asyncio
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Markdown, MarkdownViewer
from textual.widgets.markdown import MarkdownTableOfContents

import genui
from genui.ui.key import Scope
from genui.ui.key_table import keys_markdown
from genui.ui.panes.rows import Row
from genui.ui.screens.choose import ChooseScreen
from genui.ui.screens.window import Window

PAGES = Path(genui.__file__).with_name("help")

_PANE_TOPICS: Mapping[Scope, str] = MappingProxyType(
    {
        "app": "start",
        "models": "models",
        "training": "training",
        "text": "text",
        "canvas": "images",
        "roll": "music",
        "walk": "walk",
        "board": "watching",
        "lab": "lab",
        "points": "lab",
    }
)


def topics() -> dict[str, str]:
    """The topics in reading order, each with its line in the index."""
    index = (PAGES / "index.md").read_text("utf-8")
    return dict(re.findall(r"^- \[(\w+)\]\(\1\.md\): (.+)$", index, re.MULTILINE))


def topic_of(pane: Scope, medium: str = "") -> str:
    """The page about a pane; a medium that has a page of its own (video, audio, code) is nearer."""
    return medium if medium in topics() else _PANE_TOPICS[pane]


class ManualScreen(Window[None]):
    """A page at a time; links lead to other pages, and the way back is kept."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1", "leave", "Close", show=False),
        Binding("i", "topics", "Topics", show=False),
        Binding("t", "contents", "Contents of the page", show=False),
        Binding("left,backspace", "back", "Page before", show=False),
        Binding("right", "forward", "Page after", show=False),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
        Binding("pagedown,space", "scroll_page(1)", "A page down", show=False),
        Binding("pageup", "scroll_page(-1)", "A page up", show=False),
        Binding("home", "end(-1)", "To the beginning", show=False),
        Binding("end", "end(1)", "To the end", show=False),
    ]

    def __init__(
        self, pane: Scope, medium: str = "", keymap: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__()
        self._first = topic_of(pane, medium)
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        with Vertical(classes="window manual"):
            yield _Viewer(self._keymap)

    async def on_mount(self) -> None:
        window = self.query_one(".window")
        window.border_subtitle = "esc close · i topics · t contents · ← → pages"
        await self._viewer.go(PAGES / f"{self._first}.md")

    @property
    def _viewer(self) -> "_Viewer":
        return self.query_one(_Viewer)

    @on(MarkdownViewer.NavigatorUpdated)
    def _turned(self) -> None:
        viewer = self._viewer
        topic = Path(str(viewer.navigator.location).partition("#")[0]).stem
        self.query_one(".window").border_title = f"Manual: {topic}"
        if "#" not in str(viewer.navigator.location):
            viewer.scroll_home(animate=False)
        viewer.document.focus(scroll_visible=False)

    def action_topics(self) -> None:
        """Choose another page from the list."""
        rows = [Row(name, name, line) for name, line in topics().items()]
        self.app.push_screen(ChooseScreen("Manual", rows, "open", "no pages"), self._open)

    async def _open(self, topic: str | None) -> None:
        if topic is not None:
            await self._viewer.go(PAGES / f"{topic}.md")

    def action_contents(self) -> None:
        """Show the headings of the page beside it, or hide them."""
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

    def action_leave(self) -> None:
        self.leave(None)


class _Viewer(MarkdownViewer, inherit_bindings=False):
    """Textual's viewer, without motion, over pages of which two are made when they are read."""

    def __init__(self, keymap: Mapping[str, str]) -> None:
        super().__init__(show_table_of_contents=False, open_links=False)
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        document = _Document(self._keymap)
        document.can_focus = True
        yield document
        yield MarkdownTableOfContents(document)

    async def _on_markdown_link_clicked(self, message: Markdown.LinkClicked) -> None:
        if "://" in message.href:  # Textual would look for a file of that name
            message.stop()
            message.prevent_default()
            self.app.open_url(message.href)


class _Document(Markdown):
    def __init__(self, keymap: Mapping[str, str]) -> None:
        super().__init__(open_links=False)
        self._keymap = keymap

    async def load(self, path: Path) -> None:
        """As Textual's, but the pages of keys and commands are made from their tables."""
        topic = Path(str(path).partition("#")[0]).stem
        if topic == "keys":
            await self.update(keys_markdown(self._keymap))
        elif topic == "commands":
            await self.update("Reading every command's options …")
            await self.update(await _printed(topic))
        else:
            await super().load(path)


async def _printed(topic: str) -> str:
    """A page as `genui help` prints it: no room knows the shell, so the shell is asked."""
    words = (sys.executable, "-m", "genui", "help", topic)
    child = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await child.communicate()
    return (out or err).decode("utf-8", "replace")
