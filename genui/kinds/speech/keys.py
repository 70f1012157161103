"""Keys of Speech."""

from genui.kinds.speech.settings import VoiceSettings
from genui.ui.keys import Key, settings_keys, shared, timeline

KEYS = (
    *timeline("speech", "Speak", "sentence", start=("start", "Back to the first sentence"),
        end=("last sentence", "Speak to the last sentence")),
    Key("speech.zoom", "enter,z", "open",
        "Full-screen, with the settings"),
    Key("speech.hear", "semicolon", "hear",
        "Play the sound so far, or stop it"),
    *shared("speech", fork="Speak the rest with another seed, as a branch"),
    *shared("speech", "branches"),
    Key("speech.prompt", "e", "text",
        "Edit the text", action="edit"),
    *shared("speech", reseed="Speak again with another seed"),
    *shared("speech", "settings"),
    *settings_keys("speech", VoiceSettings),
    *shared("speech", "variations", "nearest", "labels", "favourite", "compare", "save",
        export="Write a replayable WAV, PNG or trace file"),
    *shared("speech", "more", "less"),
)  # fmt: skip
