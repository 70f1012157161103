"""Keys of the pane."""

from genui.ui.keys import Key, settings_keys, shared
from genui_strokes.settings import StrokesSettings

KEYS = (
    Key("pen.play", "space", "play/pause", "Draw, or pause"),
    Key("pen.forward", "right,l", "stroke", "One stroke forward", action="step(1)"),
    Key("pen.back", "left,h", "stroke back", "One stroke back", action="step(-1)", footer=False),
    Key("pen.start", "home", "beginning", "To the empty paper", action="ends(-1)", footer=False),
    Key("pen.end", "end", "end", "Draw to the last stroke", action="ends(1)", footer=False),
    Key("pen.reseed", "r", "reseed", "Draw again, from another seed"),
    *shared("pen", "zoom", "fork", "branches", "settings", "more", "less", "compare", "save"),
    Key("pen.export", "x", "export", "Write a PNG or a GIF that replays"),
    *settings_keys("pen", StrokesSettings),
)
