"""`genui report`: a run or a sweep as one HTML file for somebody without a terminal."""

import argparse
import base64
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from genui import __version__
from genui.base.errors import GenuiError
from genui.base.files import atomic_write
from genui.base.late import late_imports
from genui.base.numbers import size
from genui.base.text import clean, clean_line
from genui.cli import files, inspect, output
from genui.cli.control import named_sweep
from genui.cli.runs import find_one, find_trials, read_rows, title

with late_imports():
    from genui.formats import image
    from genui.render import svg
    from genui.runs import alerts, listing, table, table_formats
    from genui.ui import watcher
    from genui.ui.training import plots

if TYPE_CHECKING:
    from genui.runs.listing import RunSummary
    from genui.ui.watcher import RunView

MOST_CHARTS, MOST_OVERLAID, MOST_TRIALS, MOST_SETTINGS = 40, 8, 500, 500
MOST_SAMPLES = 6  # steps
SAMPLE_BYTES = 2 << 20  # of one image; larger ones are left out
LONGEST_TEXT = 4000  # characters of a sample

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """\
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
svg { max-width: 100%; height: auto; display: block }
svg text { font-size: 11px; fill: currentColor }
table { border-collapse: collapse } td, th { padding: .1em .8em .1em 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere } th { font-weight: 600 }
pre { white-space: pre-wrap; border-left: 3px solid #8886; padding-left: 1em }
img { max-width: 100%; min-width: 16em; image-rendering: pixelated }
"""


def configure_report(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The file needs nothing else: curves, samples, the configuration, alerts and why the run\n"
        "has ended are in it. It runs no script. Paths and the names of hosts are left out.\n\n"
        "examples:\n"
        "  genui report last\n"
        "  genui report wide --out wide.html            a sweep: its table and its best run\n"
        "  genui report wandb/offline-run-20260105 --out for-ann.html"
    )
    parser.add_argument(
        "run_ref", metavar="RUN|SWEEP", help="a run, 'last', the path of a log, or a sweep"
    )
    parser.add_argument("--out", metavar="FILE.html", type=Path, help="its name in this folder")
    parser.add_argument("--paths", action="store_true", help="with paths and the names of hosts")
    parser.add_argument("--force", action="store_true", help="replace an existing file")


def run_report(args: argparse.Namespace) -> int:
    word = args.run_ref
    is_sweep = named_sweep(word) is not None
    trials = find_trials(listing.list_runs(), word) if is_sweep else [find_one(word)]
    name = word if is_sweep else trials[0].info.name
    stem = word if is_sweep else Path(title(trials[0])).name
    target = args.out or re.sub(r"[^\w.-]+", "-", stem) + ".html"
    target = Path(os.path.expanduser(target))
    files.check_file(target, "--out", (".html", ".htm"), "a report", args.force)
    with output.ProgressLine() as progress:
        progress.show(f"reading {name}")
        page = _Page(trials, args.paths)
        body = page.write_sweep(word, trials) if is_sweep else page.write_run(trials[0])
        data = page.write_document(name, body).encode()
    atomic_write(target, data)
    output.print_line(f"{target}  {size(len(data))}")
    return 0


# --- What is left out -----------------------------------------------------------------------

_PRIVATE_KEYS = re.compile(
    r"(?<![a-z])(dir|directory|folder|path|file|cwd|root|host|hosts|hostname|node|user|username"
    r"|email|url|uri|executable|program|command|argv|args|environment)(?![a-z])"
    r"|(_dir|_path|_file|_url|host)s?$",
    re.IGNORECASE,
)
"""The names of settings whose values are left out."""

_PLACE = re.compile(
    r"[a-z][a-z0-9+.-]*://[^\s\"'<>]+"  # a URL
    r"|[^\s\"'=@]+@[\w.-]+(?::\S*)?"  # user@host:PATH
    r"|(?<![\w/.~<])(?:~[\w-]*|\.{1,2})?(?:/[^\s/\"'<>|:;,()]+)+/?"  # an absolute path
    r"|(?<!\w)(?:[A-Za-z]:|\\)\\[^\s\"'<>]+"  # of Windows
    r"|(?<![\w/.-])(?:[\w.-]+/){2,}[\w.-]*"  # a relative path, and one of a file
    r"|(?<![\w/.-])[\w.-]+/[\w.-]+\.[A-Za-z]\w{0,11}",
    re.IGNORECASE,
)
HIDDEN = "…"


class _Page:
    """The parts of a report. Every text goes through `_text`, which hides and escapes."""

    def __init__(self, runs: "Sequence[RunSummary]", paths: bool) -> None:
        """`paths`: whether paths and the names of hosts are shown."""
        self._paths = paths
        hosts = {socket.gethostname(), *_list_hosts(runs)} - {""}
        names = "|".join(re.escape(host) for host in sorted(hosts, key=len, reverse=True))
        self._hosts = re.compile(rf"(?<![\w-])(?:{names})(?![\w-])", re.IGNORECASE)

    def _hide(self, text: str) -> str:
        return text if self._paths else self._hosts.sub(HIDDEN, _PLACE.sub(HIDDEN, text))

    def _text(self, text: object) -> str:
        return escape(self._hide(clean(str(text))))

    def _name(self, text: str) -> str:
        """The name of a metric or a run, which may have slashes that are no path's."""
        text = clean_line(text)
        return text if self._paths else self._hosts.sub(HIDDEN, text)

    # --- the parts ------------------------------------------------------------------------

    def write_document(self, name: str, body: str) -> str:
        head = escape(self._name(name))
        written = f"Written by genui {__version__} on {date.today().isoformat()}."
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            f'<meta name="viewport" content="width=device-width">\n<title>{head}</title>\n'
            f"<style>{STYLE}</style></head>\n<body><h1>{head}</h1>\n{body}\n"
            f"<p><small>{written}</small></p></body></html>\n"
        )

    def write_sweep(self, name: str, trials: "Sequence[RunSummary]") -> str:
        """The table of the trials, their curves, and the best of them."""
        rows = read_rows(trials[:MOST_TRIALS])
        state = table.view_of_sweep(rows, name)
        rows = table.sort_rows(rows, state["sort"], state["descending"])
        columns = [key for key in state["columns"] if self._paths or not _PRIVATE_KEYS.search(key)]
        heads = "".join(f"<th>{self._text(t)}</th>" for t in table_formats.list_heads(columns))
        cells = (table_formats.list_cells(row, columns) for row in rows)
        body = "".join(f"<tr>{''.join(map(self._cell, row))}</tr>\n" for row in cells)
        main = table.main_metric(rows)
        best = {row.run.info.name: _read(row.run) for row in rows[:MOST_OVERLAID]}
        curves = {name: v.series[main][:2] for name, v in best.items() if main in v.series}
        left_out = len(trials) - len(rows)
        more = f"<p>{left_out:,} more trials are not read.</p>" if left_out else ""
        return (
            f"<p>{self._text(listing.describe_sweep(name))}</p>\n<table><tr>{heads}</tr>\n{body}"
            f"</table>{more}\n<h2>{escape(self._name(main))}</h2>"
            f"{svg.draw_curves(curves, self._name)}\n"
            f"<h2>{escape(self._name(rows[0].run.info.name))}</h2>\n{self.write_run(rows[0].run)}"
        )

    def _cell(self, text: str) -> str:
        return f"<td>{self._text(text)}</td>"

    def write_run(self, run: "RunSummary") -> str:
        """The facts of a run, its alerts, curves, samples and configuration."""
        if run.fault:
            raise GenuiError(run.fault)
        view = _read(run)
        found = alerts.Alerts().look(view.summary, view.series, whole=True)
        warnings = "".join(
            f"<li>{one.kind}: {self._text(one.line)}</li>"
            for one in found
            if one.kind not in ("crash", "finish")
        )
        parts = [
            self._write_pairs(self._list_facts(view)),
            f"<h2>Alerts</h2><ul>{warnings}</ul>" if warnings else "",
            *self._write_curves(view),
            *self._write_samples(view),
            "<h2>Configuration</h2>" if view.config else "",
            self._write_pairs(self._list_settings(view.config)),
        ]
        return "\n".join(parts)

    def _list_facts(self, view: "RunView") -> Iterator[tuple[str, str]]:
        private = ("config", "changed", "sample", "folder", "log")  # config has a part of its own
        if view.summary.native:
            facts = inspect.list_facts(view.summary)
        else:
            facts = inspect.list_foreign_facts(view.summary, view.extras.about)
        return (fact for fact in facts if self._paths or fact[0] not in private)

    def _list_settings(self, config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        for key, value in list(table.flatten(config).items())[:MOST_SETTINGS]:
            is_private = not self._paths and _PRIVATE_KEYS.search(key)
            yield key, HIDDEN if is_private else str(value)

    def _write_pairs(self, pairs: Iterable[tuple[str, str]]) -> str:
        rows = (
            f"<tr><th>{escape(self._name(key))}</th>{self._cell(value)}</tr>\n"
            for key, value in pairs
            if value
        )
        return f"<table>{''.join(rows)}</table>"

    def _write_curves(self, view: "RunView") -> Iterator[str]:
        made = plots.make_plots(view.series)
        yield "<h2>Curves</h2>" if made else ""
        for plot in made[:MOST_CHARTS]:
            yield svg.draw_curves({one: view.series[one][:2] for one in plot.metrics}, self._name)
        if len(made) > MOST_CHARTS:
            yield f"<p>{len(made) - MOST_CHARTS:,} more charts are left out.</p>"

    def _write_samples(self, view: "RunView") -> Iterator[str]:
        steps = image.pick_evenly(list(view.sample_files), MOST_SAMPLES)
        yield "<h2>Samples</h2>" if steps else ""
        for step in reversed(steps):
            sample = watcher.load_sample(view.sample_files[step], step)
            yield f"<h3>Step {step:,}</h3>"
            if sample.image is not None:
                data = image.png(sample.image, "")
                if len(data) > SAMPLE_BYTES:
                    yield f"<p>An image of {size(len(data))} is left out.</p>"
                else:
                    code = base64.b64encode(data).decode()
                    yield f'<img alt="sample" src="data:image/png;base64,{code}">'
            if sample.text:
                yield f"<pre>{self._text(sample.text[:LONGEST_TEXT])}</pre>"


def _list_hosts(runs: "Sequence[RunSummary]") -> Iterator[str]:
    for run in runs:
        yield run.info.host
        hosts = run.info.machine.get("hosts")
        yield from map(str, hosts) if isinstance(hosts, list) else ()


def _read(run: "RunSummary") -> "RunView":
    """All of a run, read to its end. Raises GenuiError."""
    reader = watcher.RunReader(run)
    view = reader.read()
    while reader.behind:
        view = reader.read() or view
    if reader.fault or view is None:
        raise GenuiError(reader.fault or f"{run.run.path}: cannot be read")
    return view
