"""Names in files of earlier versions, mapped to today's.

Runs keep the old words in their files: a trainer of an earlier version reads commands and writes
status and events with them, and so can be watched and controlled by this version. A saved
generation is upgraded as it is read, and never written back.
"""

from collections.abc import Mapping
from typing import Any

STATUS_KEYS: Mapping[str, str] = {"steps_per_s": "rate", "units_per_s": "unit_rate"}
"""Fields of Status to their keys in status.json, and in the JSON of `genui runs` and `inspect`."""

COMMAND_WORDS: Mapping[str, str] = {"set_lr": "rate"}
"""Commands to their words in control files, and in the events of earlier versions."""

COMMANDS: Mapping[str, str] = {word: command for command, word in COMMAND_WORDS.items()}
"""Words in files to commands."""

OLD_SIGMA_MIN = 0.03
"""The lowest noise level of images before it was a setting, for any number of steps."""


def upgrade(fields: Any) -> Any:
    """The JSON of a saved generation as this version would write it.

    Image settings without `sigma_min` are from before that setting existed and mean 0.03; later
    ones have a number or null. The part of a step that was called `guess` is `denoised`.
    """
    if isinstance(fields, list):
        return [upgrade(item) for item in fields]
    if not isinstance(fields, dict):
        return fields
    upgraded = {key: upgrade(value) for key, value in fields.items()}
    if upgraded.get("type") == "image" and "steps" in upgraded:
        upgraded.setdefault("sigma_min", OLD_SIGMA_MIN)
    if upgraded.get("part") == "guess":
        upgraded["part"] = "denoised"
    return upgraded
