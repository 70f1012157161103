"""Keys of the walk."""

from genui.kinds.gan.walk import LatentSettings
from genui.ui.keys import Key, settings_keys, shared, timeline, unbound

KEYS = (
    *timeline("walk", "Walk", "walk", one="move", ten=("ten", "Ten moves"),
        start=("one end", "To the start of the walk"), end=("other end", "To the end of the walk")),
    Key("walk.zoom", "enter,z", "open",
        "Full-screen: the directions, the score along the walk and the settings"),
    Key("walk.next", "right_square_bracket,down,j", "direction",
        "The next direction, through the same point", action="turn(1)", shown="[]", footer=False),
    Key("walk.before", "left_square_bracket,up,k", "previous direction",
        "The previous direction, through the same point", action="turn(-1)", footer=False),
    unbound("walk.direction", "setting('direction')", "direction no.",
        "A direction by its number"),
    unbound("walk.basis", "setting('basis')", "SeFa/PCA",
        "Directions found in the first layer (SeFa), or in its activations (PCA)"),
    unbound("walk.interpolate", "setting('to')", "to a seed",
        "Walk from here to another seed's image"),
    *shared("walk", fork="From here to a random seed's image, as a branch"),
    *shared("walk", "branches", "caption", reseed="Another image, from another seed"),
    unbound("walk.blend", "setting('blend')", "blend",
        "Blend with other seeds in equal parts"),
    *shared("walk", "settings"),
    *settings_keys("walk", LatentSettings, without=("basis",)),
    unbound("walk.recaption", "recaption", "caption from here",
        "Another caption from this step on, as a branch"),
    unbound("walk.grid", "grid", "grid",
        "A grid of seeds and captions, walked at once"),
    *shared("walk", "shares", "real"),
    *shared("walk", "variations", "nearest", "labels", "favourite", "compare", "save",
        export="Write a replayable PNG, GIF, APNG, filmstrip, cast or trace file"),
    *shared("walk", "more", "less"),
)  # fmt: skip
