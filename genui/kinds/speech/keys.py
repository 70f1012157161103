"""Keys of Speech."""

from genui.kinds.speech.settings import VoiceSettings
from genui.ui.keys import Key, settings_keys, shared

KEYS = (
    Key("speech.play", "speech", "space", "space", "play", "play/pause",
        "Speak, or pause"),
    Key("speech.forward", "speech", "right,l", "←→", "step(1)", "sentence",
        "One sentence forward"),
    Key("speech.back", "speech", "left,h", "←", "step(-1)", "sentence back",
        "One sentence back", False),
    Key("speech.start", "speech", "home", "home", "ends(-1)", "start",
        "Back to the first sentence", False),
    Key("speech.end", "speech", "end", "end", "ends(1)", "last sentence",
        "Speak to the last sentence", False),
    Key("speech.zoom", "speech", "enter,z", "⏎", "zoom", "open",
        "Full-screen, with the settings"),
    Key("speech.hear", "speech", "semicolon", ";", "hear", "hear",
        "Play the sound so far, or stop it"),
    Key("speech.fork", "speech", "f", "f", "fork", "fork",
        "Speak the rest with another seed, as a branch"),
    *shared("speech", "branches"),
    Key("speech.prompt", "speech", "e", "e", "edit", "text",
        "Edit the text"),
    Key("speech.reseed", "speech", "r", "r", "reseed", "reseed",
        "Speak again with another seed"),
    *shared("speech", "settings"),
    *settings_keys("speech", VoiceSettings),
    *shared("speech", "variations", "nearest", "labels", "favourite", "compare", "save"),
    Key("speech.export", "speech", "x", "x", "export", "export",
        "Write a WAV, a PNG or a trace file that replays", False),
    *shared("speech", "more", "less"),
)  # fmt: skip
