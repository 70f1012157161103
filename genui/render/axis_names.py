"""What a curve may be drawn along, by name."""

from typing import Literal

from genui.render.units import EPOCHS, SECONDS, TOKENS

Axis = Literal["step", "time", "tokens", "epochs"]

AXES: tuple[Axis, ...] = ("step", "time", "tokens", "epochs")
UNITS: dict[Axis, str] = {"step": "step", "time": SECONDS, "tokens": TOKENS, "epochs": EPOCHS}
"""What one of an axis is called, as a Curve's `unit`."""
