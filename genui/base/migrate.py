"""Keys in files of runs whose names in the code have changed; the files keep the old names.

A trainer of an earlier version reads commands and writes status and events with these keys, and so
can be watched and controlled by this version. `genui.formats.migrate` is the same for saved traces.
"""

from collections.abc import Mapping

STATUS_KEYS: Mapping[str, str] = {"steps_per_s": "rate", "units_per_s": "unit_rate"}
"""Fields of Status to their keys in status.json, and in the JSON of `genui runs` and `inspect`."""

COMMAND_WORDS: Mapping[str, str] = {"set_lr": "rate"}
"""Commands to their words in control files, and in the events of earlier versions."""

COMMANDS: Mapping[str, str] = {word: command for command, word in COMMAND_WORDS.items()}
"""Words in files to commands."""
