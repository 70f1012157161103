"""Keys of the pane."""

from genui.ui.keys import Key, settings_keys, shared
from genui_strokes.settings import StrokesSettings

KEYS = (
    Key("pen.play", "pen", "space", "space", "play", "play/pause", "Draw, or pause"),
    Key("pen.forward", "pen", "right,l", "→", "step(1)", "stroke", "One stroke forward"),
    Key("pen.back", "pen", "left,h", "←", "step(-1)", "stroke back", "One stroke back", False),
    Key("pen.start", "pen", "home", "home", "ends(-1)", "beginning", "To the empty paper", False),
    Key("pen.end", "pen", "end", "end", "ends(1)", "end", "Draw to the last stroke", False),
    Key("pen.reseed", "pen", "r", "r", "reseed", "reseed", "Draw again, from another seed"),
    *shared("pen", "zoom", "fork", "branches", "settings", "more", "less", "compare", "save"),
    Key("pen.export", "pen", "x", "x", "export", "export", "Write a PNG or a GIF that replays"),
    *settings_keys("pen", StrokesSettings),
)
