"""The pages of the manual by topic: those of the core, and those of the kinds."""

import re
from collections.abc import Callable

from genui.base.errors import GenuiError
from genui.base.manual import Page, core_pages
from genui.base.schema import markdown_table
from genui.protocol.kinds import KINDS, list_settings

_LINK = re.compile(r"\[([^\[\]]*)\]\((?:\.\./\.\./help/)?([\w-]+)\.md(?:#[\w-]*)?\)")
"""A link to a page of the core, from another one or from a page of a kind."""


def list_pages() -> dict[str, Page]:
    """The pages by topic, in reading order."""
    first, last = core_pages()
    of_kinds = (kind.help for kind in KINDS.values() if isinstance(kind.help, Page))
    pages: dict[str, Page] = {}
    for page in (*first, *of_kinds, *last):
        pages.setdefault(page.topic, page)
    return pages


def topics() -> dict[str, str]:
    """The topics in reading order, each with its summary."""
    return {page.topic: page.summary for page in list_pages().values()}


def read_page(topic: str) -> str:
    """A page as Markdown, with its tables of settings. A link to a page that is not installed is
    plain text.

    Raises GenuiError, one line, if the page cannot be read.
    """
    pages = list_pages()
    path = pages[topic].path
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GenuiError(f"{path}: this page of the manual cannot be read ({error})") from None
    return replace_links(
        add_settings_tables(text), lambda link: link[0] if link[2] in pages else link[1]
    )


def add_settings_tables(page: str) -> str:
    """A page; each line such as `{TextSettings}` becomes a table of settings."""
    for kind in list_settings():
        page = page.replace(f"{{{kind.__name__}}}", markdown_table(kind))
    return page


def replace_links(text: str, replace: Callable[[re.Match[str]], str]) -> str:
    """The text with its links to other pages replaced; a match has the words and the topic."""
    return _LINK.sub(replace, text)
