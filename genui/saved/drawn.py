"""What a folder of generated samples says of itself: the plan by which they are made again."""

from pathlib import Path

import msgspec
from msgspec import Struct

from genui.protocol import Settings

PLAN = "genui.json"
METADATA = "metadata.jsonl"
"""A line a picture, clip or sound, as in Hugging Face's imagefolder."""


class Plan(Struct, frozen=True, kw_only=True):
    """What makes the samples again: kept in the folder, and compared when it is gone on with."""

    model: str
    fingerprint: str
    prompt: str | None
    seed: int
    settings: Settings
    batch: int


def read_plan(folder: Path) -> Plan:
    """The plan that a folder was begun with. Raises OSError or DecodeError where it has none."""
    return msgspec.json.decode((folder / PLAN).read_bytes(), type=Plan)


def used_critic(folder: Path) -> bool:
    """Whether it was begun by an earlier version that left out what a critic rejected.

    Raises OSError or DecodeError where the folder has no plan.
    """
    settings = msgspec.json.decode((folder / PLAN).read_bytes())["settings"]
    return bool(settings.get("rejection"))
