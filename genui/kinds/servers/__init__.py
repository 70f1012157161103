"""Models on a server: llama-server, Ollama, vLLM and others that tell the odds of tokens.

- `client`: HTTP with one address
- `dialects`: how each server is asked, and how its replies are read
- `model`: the file with the address of a model
- `odds`, `record`: what a server answered, as a saved file keeps it
- `sample`: text, a token at a time
- `shell`: what `genui models add` does with an address
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.text import SAMPLED_TEXT

with late_imports():
    from genui.engine import loaders
    from genui.formats import kinds as formats
    from genui.hub import formats as hub
    from genui.kinds.servers import dialects, model, record, sample, shell

if TYPE_CHECKING:
    from genui.hub.open_model import OpenModel
    from genui.kinds.servers.model import ServerRecord


def _find(what: str, options: Mapping[str, Any]) -> "tuple[ServerRecord, str] | None":
    return shell.find_server(what, options)


def _describe(path: Path) -> "OpenModel":
    return dialects.describe(path)


def _formats() -> Mapping[str, object]:
    row = hub.ModelFormat(
        title="a model on a server", recognise=model.is_server, describe=_describe, find=_find
    )
    return {model.FORMAT: row}


def _add_address_options(parser: ArgumentParser) -> None:
    server = parser.add_argument_group(
        "models on a server",
        "llama-server, Ollama, vLLM or another OpenAI-compatible one is asked once what it is, as "
        "in `genui models add http://localhost:8080`; nothing else is sent to it before you "
        "generate.",
    )
    server.add_argument(
        "--model", metavar="MODEL", default="", help="which model of a server that has several"
    )
    server.add_argument(
        "--key-env",
        metavar="VARIABLE",
        default="",
        help="the environment variable that holds the server's key; the key is never written down",
    )


def _add_replay_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--again",
        action="store_true",
        help="of a text of a model on a server, which is replayed from the server's answers in the "
        "file: ask the server anew, and name the first step at which it answers otherwise",
    )


KINDS = (
    replace(
        SAMPLED_TEXT,
        family="server",
        place=16,
        limitations="Trained by others: its own card states its data and its limits.",
        prepares=None,
        trains=None,
        formats=_formats,
        watermarks=(),
        opens={"server": lambda: loaders.Loader(sample.load_server_model)},
        edits=("seed", "token", "text", "say"),
        options=("chat", "system", "say"),
        takers="open models with a chat template",
        saves=lambda: formats.Saves(record=record.record_texts, first_change=record.first_change),
        help=Page("servers", "ask a model on a server", Path(__file__).with_name("help.md")),
        add_options={"models add": _add_address_options, "replay": _add_replay_options},
    ),
)
