"""A user's own folder of recordings. Nothing in it is trusted.

Captions come from `metadata.jsonl` or a `take.txt` beside `take.wav` as for pictures, else from
names such as `4_anna_0.wav` or `four_anna_0.wav`: the digit, who says it, and which take it is.
"""

import os
import re
from pathlib import Path

from genui.engine.data.captions import split_words
from genui.engine.data.folder import caption_from_name, open_folder, read_captioned, shortened
from genui.engine.data.pictures import hold_out_pictures
from genui.engine.data.speech import DIGITS, Speech, Take, read_take
from genui.engine.sound.stft import Samples
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
    notes: list[str] = []

    def samples_of(file: Path) -> Samples:
        samples, changes = read_take(file)
        if changes:
            notes.append(changes)
        return samples

    usable, files = read_captioned(
        folder, SUFFIXES, "recordings", MOST_TAKES, samples_of, notes, caption_of_name
    )
    takes = tuple(Take(caption, samples) for samples, caption in usable)
    if len(takes) < files:
        notes.insert(0, f"{len(takes)} of {files} recordings are used")
    trained, held_out = hold_out_pictures(len(takes))
    return Speech(
        name=clean_line(folder.resolve().name, 60) or "folder",
        licence="the user's own",
        takes=takes,
        train=trained,
        held_out=held_out,
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
