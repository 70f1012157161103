"""The ten colours pictures are drawn in, by the names captions use."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (226, 52, 52),
    "orange": (250, 138, 30),
    "yellow": (250, 214, 50),
    "green": (44, 162, 76),
    "cyan": (58, 210, 220),
    "blue": (44, 92, 224),
    "purple": (132, 60, 200),
    "pink": (250, 130, 184),
    "white": (244, 244, 240),
    "black": (16, 18, 24),
}
"""sRGB, 0 to 255. White and black are soft, so that no picture needs the ends of the range."""

DEFAULT_GROUND = "black"
"""The ground of a picture whose caption names none."""
