"""A table of runs as CSV, Markdown and LaTeX: read back, hostile texts are the same texts."""

import csv
import io
import re
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from genui.base.text import clean_line
from genui.runs.layout import RunDir, RunInfo, Status
from genui.runs.listing import RunSummary
from genui.runs.table import Metric, TableRow, arrange
from genui.runs.table_formats import FORMATS, escape_latex
from genui.runs.table_state import TableState

MARKUP = st.text(alphabet="\\`*_{}[]()<>#!|~$&:@%^-\"'± ax1\n", max_size=20)
TEXTS = MARKUP | st.text(max_size=20)


def row(name: str, loss: float = 1.0, **config: str) -> TableRow:
    info = RunInfo(id=name, name=name, recipe={})
    status = Status(state="finished", step=10)
    run = RunSummary(RunDir(Path("/runs/x")), info, status, "finished", age=1.0, format="jsonl")
    return TableRow(run, {"val_loss": Metric(loss, loss, 5, "█▁")}, config)


@given(st.lists(TEXTS, min_size=1, max_size=3))
@example(["\r"])
def test_csv_gives_back_every_text(names: list[str]) -> None:
    text = FORMATS["csv"]([row(name, key=name) for name in names], ["key", "val_loss"])
    head, *rows = csv.reader(io.StringIO(text, newline=""))
    assert head == ["run", "state", "key", "val_loss"]
    assert [(one[0], one[2]) for one in rows] == [(name, name) for name in names]


@given(TEXTS)
def test_markdown_shows_a_hostile_name_as_text(name: str) -> None:
    lines = arrange([row(name, 1, key=name), row(name, 2, key=name)], TableState(group="key"))
    tokens = MarkdownIt("commonmark").enable("table").parse(FORMATS["markdown"](lines, ["key"]))
    cells = [token for token in tokens if token.type == "inline"]
    assert {token.type for cell in cells[:3] + cells[6:] for token in cell.children or []} <= {
        "text",
        "text_special",
    }
    shown = ["".join(child.content for child in cell.children or []) for cell in cells]
    expected = clean_line(name).strip()
    assert len(cells) == 4 * 3
    assert shown[6].strip() == shown[8].strip() == expected
    assert [child.type for child in cells[3].children or []].count("strong_open") == 1


def read_latex(text: str) -> str:
    """What LaTeX prints for an escaped text; fails for a character that would be a command."""
    names = {
        "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<",
        "textgreater": ">", "textbar": "|", "textquotedbl": '"', "textasciigrave": "`",
        "textquotesingle": "'",
    }  # fmt: skip
    one = re.compile(
        r"\\([a-z]+)\{\}|\\([{}$&#_%])|(\$\\pm\$)|\{([\[\]*])\}|-(\{\})|([^\\{}$&#_%~^<>|\"`'\[\]*])",
        re.DOTALL,
    )
    result, at = "", 0
    while at < len(text):
        found = one.match(text, at)
        assert found, text[at:]
        command, escaped, plus, grouped, dash, plain = found.groups()
        result += names[command] if command else escaped or grouped or plain or ""
        result += "±" if plus else "-" if dash is not None else ""
        at = found.end()
    return result


@given(TEXTS)
def test_latex_prints_a_hostile_name_as_text(name: str) -> None:
    assert read_latex(escape_latex(name)) == name
    assert "--" not in escape_latex(name)


def test_a_group_has_its_mean_and_a_curve_is_not_in_latex() -> None:
    rows = [row("a", 1.0, lr="x_1"), row("b", 2.0, lr="x_1"), row("c", 3.0, lr="y")]
    state = TableState(sort="val_loss", group="lr")
    latex = FORMATS["latex"](arrange(rows, state), ["val_loss", "curve.val_loss", "lr"])
    lines = latex.splitlines()
    assert lines[0] == r"\begin{tabular}{llrl}"
    assert (
        r"\multicolumn{4}{l}{\textbf{lr x\_1, 2 runs, mean val\_loss 1.500 $\pm$ 0.71}} \\" in lines
    )
    assert r"c & finished & 3 & y \\" in lines
    assert "█" not in latex
    assert "█▁" in FORMATS["markdown"](rows, ["curve.val_loss"])
