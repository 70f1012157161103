"""Keys of the Roll."""

from genui.protocol.settings import TextSettings
from genui.ui.keys import Key, settings_keys, shared, timeline, unbound

OF_WORDS = frozenset({"grammar", "watermark", "watermark_key", "watermark_delta"})
"""Settings that music does not have."""

KEYS = (
    *timeline("roll", "Generate music", "note", ten=("quarter", "Four voices a quarter"), by=16,
        arrow="→", start=("beginning", "Back to the beginning"),
        end=("end", "Generate to the end of the piece")),
    Key("roll.enter", "enter", "open/fork",
        "Full-screen; there, fork with the chosen note", footer=False),
    *shared("roll", "zoom"),
    Key("roll.listen", "semicolon", "listen",
        "Play the music so far, if this machine has an audio player", footer=False),
    unbound("roll.melody", "melody", "melody",
        "Harmonise a MIDI file: its highest part is the melody"),
    *shared("roll", "fork", "branches"),
    Key("roll.prompt", "e", "key",
        "The key, the metre and an upbeat of the piece", action="edit"),
    *shared("roll", reseed="Generate another piece, with another seed"),
    *shared("roll", "settings"),
    *settings_keys("roll", TextSettings, without=OF_WORDS, unit="note"),
    *shared("roll", "more", "less"),
    Key("roll.up", "up,k", "candidate above",
        "The likelier candidate for the note at the cursor; in Home, the previous bars",
        action="choose(-1)", footer=False),
    Key("roll.down", "down,j", "candidate below",
        "The less likely candidate; in Home, the next bars", action="choose(1)", footer=False),
    Key("roll.page_up", "pageup", "previous bar",
        "Show the previous bars", action="scroll_text(-1)", footer=False),
    Key("roll.page_down", "pagedown", "next bar",
        "Show the next bars", action="scroll_text(1)", footer=False),
    unbound("roll.insert", "insert", "insert",
        "Insert your own notes at the cursor, as a branch, and continue"),
    *shared("roll", "attention", "layers", "parts", "head", "head_before", "ablate",
        unit="note"),
    unbound("roll.side", "side_by_side", "side by side",
        "Several pieces on one timeline, from several seeds"),
    *shared("roll", "variations"),
    unbound("roll.nearest", "nearest", "nearest",
        "Is it copied? The longest run of notes also in the training data"),
    *shared("roll", "favourite", "compare", "save",
        export="Write a replayable MIDI, WAV or trace file"),
)  # fmt: skip
