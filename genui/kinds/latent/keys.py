"""Keys of the pane of autoencoders."""

from genui.kinds.latent.walk import AutoencoderSettings
from genui.ui.keys import Key, settings_keys, shared, timeline

KEYS = (
    *timeline("blend", "Walk", "step", start=("first", "To the first image"),
        end=("second", "To the second image")),
    Key("blend.zoom", "enter,z", "open",
        "Full-screen, with the settings"),
    *shared("blend", "branches", "caption", "settings"),
    *settings_keys("blend", AutoencoderSettings),
    *shared("blend", "favourite", "compare", "save",
        export="Write a replayable PNG, GIF, APNG, filmstrip, cast or trace file"),
    *shared("blend", "more", "less"),
)  # fmt: skip
