"""The record of a model on a server: the file with its address."""

from pathlib import Path

from genui.base.errors import GenuiError
from genui.hub.records import SUFFIX, Record, read_record, records_dir

FORMAT = FAMILY = "server"


class ServerRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The address of a server, and its description of its model."""

    model: str = ""
    """The name of the model on the server."""
    dialect: str = ""
    """How genui asks the server: a name of `dialects.DIALECTS`."""
    key_env: str = ""
    """The environment variable with the server's key; the key itself is never written."""
    top: int = 0
    """The number of likeliest tokens that the server gives."""
    vocabulary: int = 0
    context: int = 0
    parameters: int = 0
    chat_template: str = ""
    begin: str = ""
    """The token that a chat template may begin with, as it is spelled; `end` likewise."""
    end: str = ""


def is_server(path: Path) -> bool:
    """Whether a path is the record of a model on a server."""
    if path.suffix != SUFFIX or path.parent != records_dir():
        return False
    try:
        record = read_record(path)
    except GenuiError:
        return False
    return bool(record.url) and not record.path
