"""What a series may hold that no line can show."""

from enum import IntFlag


class Fault(IntFlag):
    """What a column holds that has no place on the axis of values."""

    NAN = 1
    ABOVE = 2  # +∞
    BELOW = 4  # -∞
    NOT_POSITIVE = 8  # zero or less, on a logarithmic axis
