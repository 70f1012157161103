"""The tables in the manual and in the README have every row of the tables in the code."""

import re
from collections.abc import Collection
from pathlib import Path

import pytest

import genui
from genui.base.manual import GENERATED, Page
from genui.base.plugins import GROUPS
from genui.cli.convert import list_targets
from genui.engine.data.tables import tables
from genui.formats.codec import CODECS
from genui.hub.catalogue import CATALOGUE
from genui.hub.formats import FORMATS as MODEL_FORMATS
from genui.logs.formats import FORMATS as LOG_FORMATS
from genui.protocol.kinds import KINDS, PRETRAINED, list_media, weights_folders
from genui.protocol.manual import list_pages, read_page, topics
from genui.protocol.samplers import SAMPLERS
from genui.recipes import RECIPES

PACKAGE = Path(genui.__file__).parent
DATASETS = [name for table in tables() for name in table]
FAMILIES = {family for (family, _), kind in KINDS.items() if not kind.ref} - {PRETRAINED}
SHIPPED = [card.parent.name for at in weights_folders() for card in at.glob("*/card.json")]

TABLES: dict[str, tuple[str, Collection[str]]] = {
    "recipes": ("recipes", RECIPES),
    "families": ("recipes", FAMILIES),
    "media": ("recipes", list_media()),
    "shipped models": ("models", SHIPPED),
    "datasets": ("data", DATASETS),
    "types of file": ("traces", CODECS),
    "samplers": ("samplers", SAMPLERS),
    "formats of logs": ("watching", LOG_FORMATS),
    "formats of models": ("open-models", MODEL_FORMATS),
    "models to fetch": ("open-models", CATALOGUE),
    "formats to convert to": ("models", list_targets()),
    "groups of plug-ins": ("extend", GROUPS),
}
"""What is listed: the page that lists it, and its names."""


def _names_in(text: str) -> set[str]:
    """The words in code, and those in the first row and the first column of tables."""
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    heads = re.findall(r"^(\|.+\|)\n\|-", text, re.MULTILINE)
    named = [*re.findall(r"`([^`\n]+)`", text), *cells, *heads]
    return set(re.findall(r"[\w.-]+", " ".join(named).casefold()))


@pytest.mark.parametrize("table", TABLES)
def test_the_manual_lists_every_row(table: str) -> None:
    """On the page of the table, or on the page of a kind, which brings its own rows."""
    topic, rows = TABLES[table]
    own = {kind.topic for kind in KINDS.values() if isinstance(kind.help, Page)}
    named = _names_in("\n".join(map(read_page, (topic, *own))))
    missing = [row for row in rows if row.casefold() not in named]
    assert not missing, f"genui/help/{topic}.md, or the page of a kind, must name {missing}"


def test_every_kind_has_a_page() -> None:
    missing = {kind.topic for kind in KINDS.values()} - topics().keys()
    assert not missing, f"there is no page of the manual for {missing}: Kind.help, or genui/help"


def test_the_readme_says_where_the_data_of_every_shipped_model_are_from() -> None:
    readme = PACKAGE.parent / "README.md"
    table = readme.read_text("utf-8").partition("## Data and licences")[2]
    assert SHIPPED
    told = {RECIPES[name].dataset for name in _names_in(table) & RECIPES.keys()}
    missing = {RECIPES[name].dataset for name in SHIPPED} - told
    assert not missing, f"README.md does not say where the data {missing} are from"


def test_a_link_names_a_file_or_a_page_that_is_generated() -> None:
    """So that the manual can be read as files, on the page of the repository too."""
    pages = [page.path for page in list_pages().values() if page.topic not in GENERATED]
    linked = [
        (page, link)
        for page in (PACKAGE.parent / "README.md", *pages)
        for link in re.findall(r"\]\(([^)#]+\.md)(?:#[\w-]+)?\)", page.read_text("utf-8"))
        if "://" not in link
    ]
    assert linked
    lost = [(page, link) for page, link in linked if not (page.parent / link).is_file()]
    lost = [(page, link) for page, link in lost if Path(link).stem not in GENERATED]
    assert not lost, f"links to pages that are not there: {lost}"
