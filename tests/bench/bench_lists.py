"""A key in a list: bytes to the terminal and milliseconds of computing, ours beside Textual's.

    python tests/bench/bench_lists.py

Both draw through genui's cells, which send only what differs, in a terminal of 120×40. `down` is
a key that moves the cursor, `page` one that scrolls by a page; `fill` is the first paint, and
`change` one row that a training changes. Then a tree of branches, beside Textual's, and the keys of
the pane with the focus, beside Textual's Footer: `tab` goes to the other pane.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import BindingsMap
from textual.content import Content
from textual.drivers.headless_driver import HeadlessDriver
from textual.widget import Widget
from textual.widgets import DataTable, Footer, OptionList, Static, Tree
from textual.widgets.option_list import Option
from textual.widgets.tree import TreeNode

from genui.ui import keys
from genui.ui.branches import tree_lines
from genui.ui.cells import Cells
from genui.ui.textual_parts import driver_of, set_bindings
from genui.ui.themes import DARK
from genui.ui.widgets.bars import FooterLine
from genui.ui.widgets.lists import ListRow, RowList

SIZE = (120, 40)
KEYS = 11


class CellDriver(HeadlessDriver):
    """Counts the bytes that genui's driver would send."""

    octets = 0
    writes = 0
    cells = Cells(*SIZE)

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.octets += len(self.cells.update(data).encode())
        self.writes += 1


class Stage(App[None]):
    CSS = "RowList { max-height: 40; } OptionList { border: none; padding: 0; }"

    def __init__(self, widget: Widget) -> None:
        super().__init__(driver_class=CellDriver)
        self.register_theme(DARK)
        self.theme = DARK.name
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget

    def on_mount(self) -> None:
        self.widget.focus()


def row(at: int, note: str = "ready") -> ListRow:
    return ListRow(f"run-{at}", f"run-{at} of the digits", f"{note} · step {at * 37:,}", mark="●")


def option(at: int, note: str = "ready") -> Content:
    one = row(at, note)
    gap = " " * max(1, SIZE[0] - 8 - len(one.left) - len(one.right))
    return Content.assemble(
        f" {one.mark} ", (one.left, "$foreground"), gap, (one.right, "$text-muted")
    )


def cells_of(at: int, note: str = "ready") -> list[Text | str]:
    return [
        Text("●"),
        f"run-{at} of the digits",
        note,
        f"{at * 37:,}",
        f"{at / 7:.4g}",
        f"{at / 3:.4g}",
    ]


def make_ours(rows: int) -> tuple[Widget, Callable[[], object], Callable[[], object]]:
    ours = RowList()
    all_rows = [row(at) for at in range(rows)]
    changed = [*all_rows[:3], row(3, "training"), *all_rows[4:]]
    return ours, lambda: ours.set_rows(all_rows), lambda: ours.set_rows(changed)


def make_options(rows: int) -> tuple[Widget, Callable[[], object], Callable[[], object]]:
    options = OptionList()

    def fill() -> None:
        options.add_options([Option(option(at), id=f"run-{at}") for at in range(rows)])
        options.highlighted = 0

    return options, fill, lambda: options.replace_option_prompt_at_index(3, option(3, "training"))


def make_table(rows: int) -> tuple[Widget, Callable[[], object], Callable[[], object]]:
    table: DataTable[Text | str] = DataTable(cursor_type="row")

    def fill() -> None:
        table.add_columns("", "name", "state", "step", "loss", "val")
        table.add_rows([cells_of(at) for at in range(rows)])

    return table, fill, lambda: table.update_cell_at((3, 2), "training")  # type: ignore[arg-type]


DEPTHS = (0, 1, 2, 2, 1)
"""Of branches in turn: each is forked from the last one that is less deep."""


def make_lines(rows: int) -> tuple[Widget, Callable[[], object], Callable[[], object]]:
    ours = RowList()
    leads = tree_lines([DEPTHS[at % len(DEPTHS)] for at in range(rows)])
    all_rows = [replace(row(at), lead=leads[at]) for at in range(rows)]
    changed = [*all_rows[:3], replace(row(3, "training"), lead=leads[3]), *all_rows[4:]]
    return ours, lambda: ours.set_rows(all_rows), lambda: ours.set_rows(changed)


def make_tree(rows: int) -> tuple[Widget, Callable[[], object], Callable[[], object]]:
    tree: Tree[None] = Tree("")
    tree.show_root = False
    nodes: list[TreeNode[None]] = []

    def fill() -> None:
        above: dict[int, TreeNode[None]] = {0: tree.root}
        tree.root.expand()
        for at in range(rows):
            depth = DEPTHS[at % len(DEPTHS)]
            node = above[depth].add(option(at).plain, expand=True)
            above[depth + 1] = node
            nodes.append(node)

    return tree, fill, lambda: nodes[3].set_label(option(3, "training").plain)


class FooterStage(Stage):
    """Two panes with their keys, and a footer."""

    def __init__(self, own: bool) -> None:
        super().__init__(FooterLine() if own else Footer())

    def compose(self) -> ComposeResult:
        for name in ("models", "text"):
            pane = Static(id=name)
            pane.can_focus = True
            set_bindings(pane, BindingsMap(keys.make_bindings(keys.footer(name))))
            yield pane
        yield self.widget

    def on_mount(self) -> None:
        self.query_one("#models").focus()

    def on_descendant_focus(self) -> None:
        if isinstance(self.widget, FooterLine) and self.focused is not None:
            self.widget.set(self.focused.id or "", False)


async def print_footer(name: str, own: bool) -> None:
    app = FooterStage(own)
    task = asyncio.create_task(app.run_async(size=SIZE))
    while not app.widget.is_mounted:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    tab = events.Key("tab", None)  # Textual writes its keys a while after it
    idle = median([(await measure(app, lambda: None, 0.3))[1] for _ in range(5)])
    pressed = [await measure(app, lambda: app.post_message(tab), 0.3) for _ in range(KEYS)]
    app.exit()
    await task
    octets, spent = int(median(b for b, _ in pressed)), median(t for _, t in pressed) - idle
    print(f"{name:28}tab {octets:,} B {spent:.1f} ms", flush=True)


async def measure(app: Stage, act: Callable[[], object], still: float = 0.04) -> tuple[int, float]:
    """Bytes and milliseconds of computing until nothing is written for `still` seconds."""
    driver = driver_of(app.widget.app)
    assert isinstance(driver, CellDriver)
    octets, started, writes = driver.octets, time.process_time(), -1
    act()
    while writes != driver.writes:
        writes = driver.writes
        await asyncio.sleep(still)
    return driver.octets - octets, 1000 * (time.process_time() - started)


async def print_list(
    name: str, made: tuple[Widget, Callable[[], object], Callable[[], object]]
) -> None:
    widget, fill, change = made
    app = Stage(widget)
    task = asyncio.create_task(app.run_async(size=SIZE))
    while not widget.is_mounted:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    found = {"fill": await measure(app, fill), "change": await measure(app, change)}
    idle = median([(await measure(app, lambda: None))[1] for _ in range(5)])
    for what, key in ("down", "down"), ("page", "pagedown"):
        pressed = [
            await measure(app, lambda key=key: app.post_message(events.Key(key, None)))
            for _ in range(KEYS)
        ]
        found[what] = (int(median(b for b, _ in pressed)), median(t for _, t in pressed) - idle)
    shown = "  ".join(f"{what} {b:,} B {ms:.1f} ms" for what, (b, ms) in found.items())
    app.exit()
    await task
    print(f"{name:28}{shown}", flush=True)  # after the app, which takes what is printed


async def run() -> None:
    makers: dict[str, Callable[[int], tuple[Widget, Callable[[], object], Callable[[], object]]]]
    makers = {"ours": make_ours, "OptionList": make_options, "DataTable": make_table}
    makers |= {"our tree": make_lines, "Tree": make_tree}
    for rows in 500, 5_000:
        for name, make in makers.items():
            await print_list(f"{name}, {rows:,} rows", make(rows))
    for name, own in ("our footer", True), ("Footer", False):
        await print_footer(name, own)


if __name__ == "__main__":
    asyncio.run(run())
