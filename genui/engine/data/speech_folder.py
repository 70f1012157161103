"""A user's own folder of recordings. Nothing in it is trusted.

Captions come from `metadata.jsonl` or a `take.txt` beside `take.wav` as for pictures, else from
names such as `4_anna_0.wav` or `four_anna_0.wav`: the digit, who says it, and which take it is.
"""

import os
import re
from pathlib import Path

import numpy as np

from genui.engine.data.captions import split_words
from genui.engine.data.folder import (
    caption_from_name,
    captioned,
    files_below,
    open_folder,
    shortened,
    shown,
)
from genui.engine.data.pictures import hold_out_pictures
from genui.engine.data.speech import DIGITS, Speech, Take, read_take
from genui.errors import MisuseError
from genui.render.sanitise import clean_line

SUFFIXES = (".wav",)
MOST_TAKES = 20_000
_NAMED = re.compile(r"([0-9]|[a-z]+)_([^_]+)(?:_[^_]*)?", re.IGNORECASE)


def load_speech_folder(path: str | os.PathLike[str]) -> Speech:
    """Every usable recording in the folder and its sub-folders, with its caption.

    What is left out or cut is listed in `notes`, and how many were used. Raises MisuseError
    where the path is no folder or nothing in it can be used.
    """
    folder = open_folder(path, "recordings need a folder, such as one with 4_anna_0.wav")
    files = files_below(folder, SUFFIXES)
    if not files:
        raise MisuseError(f"{shown(folder)}: no recordings in it; looked for .wav")
    notes: list[str] = []
    if len(files) > MOST_TAKES:
        notes.append(f"{shown(folder)}: only the first {MOST_TAKES:,} of {len(files):,} taken")
    takes: list[Take] = []
    for file, caption in captioned(folder, files[:MOST_TAKES], notes, caption_of_name):
        try:
            samples, changes = read_take(file)
        except MisuseError as reason:
            notes.append(str(reason))
            continue
        takes.append(Take(caption, samples))
        if changes:
            notes.append(changes)
    if not takes:
        first = notes[0] if notes else "metadata.jsonl names none of them"
        raise MisuseError(f"{shown(folder)}: none of its {len(files)} recordings works: {first}")
    if len(takes) < len(files):
        notes.insert(0, f"{len(takes)} of {len(files)} recordings are used")
    trained, held_out = hold_out_pictures(len(takes))
    return Speech(
        name=clean_line(folder.resolve().name, 60) or "folder",
        licence="the user's own",
        takes=tuple(takes),
        train=np.asarray(trained),
        held_out=np.asarray(held_out),
        notes=shortened(notes),
    )


def caption_of_name(path: Path, folder: Path) -> str:
    """The name "4_anna_0" says "four anna"; any other what it says as a picture's does."""
    named = _NAMED.fullmatch(path.stem)
    if named is None:
        return caption_from_name(path, folder)
    said, who = named[1].lower(), " ".join(split_words(named[2]))
    if said.isdecimal():
        said = DIGITS[int(said)]
    return f"{said} {who}" if said in DIGITS and who else caption_from_name(path, folder)
