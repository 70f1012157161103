"""A table of runs, with its groups, as CSV, Markdown or LaTeX."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence

from genui.base.numbers import quantity
from genui.base.text import clean_line
from genui.runs.table import Heading, Line, TableRow, format_value, is_curve, title


def write_csv(lines: Sequence[Line], columns: Sequence[str]) -> str:
    """Every row with its values in full, by the keys of the columns; groups have no rows. Lines end
    as RFC 4180 says, so that every kind of line break in a value is quoted."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(("run", "state", *columns))
    for line in lines:
        if isinstance(line, TableRow):
            values = (line.get(key) for key in columns)
            cells = ("" if value is None else value for value in values)
            writer.writerow((*_name(line), *cells))
    return file.getvalue()


def write_markdown(lines: Sequence[Line], columns: Sequence[str]) -> str:
    """A table of GitHub's Markdown; the head of a group is a row in bold."""
    head, right = list_heads(columns), find_numeric(lines, columns)
    rows = [
        [escape_markdown(cell) for cell in head],
        ["--:" if at in right else "---" for at in range(len(head))],
    ]
    for line in lines:
        if isinstance(line, Heading):
            rows.append([f"**{escape_markdown(describe_group(line))}**", *[""] * (len(head) - 1)])
        else:
            rows.append([escape_markdown(cell) for cell in list_cells(line, columns)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write_latex(lines: Sequence[Line], columns: Sequence[str]) -> str:
    """A `tabular` that needs no package; the head of a group is a row in bold."""
    columns = [key for key in columns if not is_curve(key)]  # no font of LaTeX has their bars
    head, right = list_heads(columns), find_numeric(lines, columns)
    alignment = "".join("r" if at in right else "l" for at in range(len(head)))
    rows = [_latex_row(head)]
    for line in lines:
        if isinstance(line, Heading):
            text = escape_latex(describe_group(line))
            rows.append(rf"\multicolumn{{{len(head)}}}{{l}}{{\textbf{{{text}}}}} \\")
        else:
            rows.append(_latex_row(list_cells(line, columns)))
    rows = [r"\hline", rows[0], r"\hline", *rows[1:], r"\hline"]
    return "\n".join([rf"\begin{{tabular}}{{{alignment}}}", *rows, r"\end{tabular}", ""])


# --- The cells, for people --------------------------------------------------------------------


def list_heads(columns: Sequence[str]) -> list[str]:
    """The heads of a table with these columns after the run and its state."""
    return ["run", "state", *(title(key) for key in columns)]


def list_cells(row: TableRow, columns: Sequence[str]) -> list[str]:
    """The cells of a run, one for each of the heads."""
    values = (format_value(key, row.get(key)) for key in columns)
    return [*map(clean_line, _name(row)), *values]


def _name(row: TableRow) -> tuple[str, str]:
    """The id of a run, or the name of another tool's log, and the state."""
    name = row.run.run.id if row.run.native else row.run.info.name
    return name, "broken" if row.run.fault else row.run.state


def describe_group(head: Heading) -> str:
    """The head of a group on one line: its value, the number of its runs, and their mean."""
    runs = quantity(head.runs, "run")
    return clean_line(", ".join(filter(None, (head.text, runs, head.summary)))).strip()


def find_numeric(lines: Sequence[Line], columns: Sequence[str]) -> set[int]:
    """The places among the cells of the columns without texts, which are aligned at the right."""
    rows = [line for line in lines if isinstance(line, TableRow)]
    return {
        at
        for at, key in enumerate(columns, 2)
        if not any(isinstance(row.get(key), str) for row in rows)
    }


# --- Escapes ------------------------------------------------------------------------------------


def _latex_row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(map(escape_latex, cells))} \\"


def escape_markdown(text: str) -> str:
    """The text of a cell, in which nothing is markup."""
    return re.sub(r"([\\`*_{}\[\]()<>#!|~$&:@])", r"\\\1", text)


_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}", "'": r"\textquotesingle{}", "±": r"$\pm$",
    "[": "{[}", "]": "{]}", "*": "{*}",  # which after a \\ are its arguments
    **{mark: f"\\{mark}" for mark in "{}$&#_%"},
}  # fmt: skip


def escape_latex(text: str) -> str:
    """The text of a cell; hyphens in a row do not become a dash."""
    return re.sub("-(?=-)", "-{}", "".join(_LATEX.get(mark, mark) for mark in text))


FORMATS: Mapping[str, Callable[[Sequence[Line], Sequence[str]], str]] = {
    "csv": write_csv,
    "markdown": write_markdown,
    "latex": write_latex,
}
"""What a table of these lines and columns is written as, by name."""
