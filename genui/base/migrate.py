"""Words in files of runs that have other names in the code. The files keep theirs for good.

A trainer of an earlier version reads commands and writes status and events in these words, so that
it can be watched and controlled by this one. (`genui.formats.migrate` does this for saved
generations; the room of runs lies below it.)
"""

from collections.abc import Mapping

STATUS_KEYS: Mapping[str, str] = {"steps_per_s": "rate", "units_per_s": "unit_rate"}
"""Fields of Status to their keys in status.json, and in the JSON of `genui runs` and `inspect`."""

COMMAND_WORDS: Mapping[str, str] = {"set_lr": "rate"}
"""Commands to their words in control files, and in the events of earlier versions."""

COMMANDS: Mapping[str, str] = {word: command for command, word in COMMAND_WORDS.items()}
"""The way back."""
