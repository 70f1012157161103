"""The settings of a drawing, and an edit of its own."""

from typing import Annotated, ClassVar, Self

from msgspec import Meta, Struct

from genui.base.errors import MisuseError
from genui.base.schema import about
from genui.protocol.settings import Edit, Settings


class StrokesSettings(Settings, Struct, frozen=True, tag="strokes/drawing", kw_only=True):
    """How the pen draws."""

    GROUP: ClassVar[str] = "drawings"
    FIRST: ClassVar[tuple[str, ...]] = ("wobble",)

    wobble: Annotated[float, Meta(ge=0, le=10), about("how much the pen wavers", step=0.1)] = 0.8
    pen: Annotated[int, Meta(ge=1, le=8), about("width of the line in pixels", step=1)] = 1
    strokes: Annotated[int, Meta(ge=1, le=1000), about("strokes of a drawing", step=6)] = 24


class Jump(Edit, Struct, frozen=True, tag="jump"):
    """The pen goes on from another place, without a line to it."""

    x: Annotated[float, Meta(ge=-1, le=1)]
    y: Annotated[float, Meta(ge=-1, le=1)]

    @classmethod
    def parse_value(cls, text: str) -> Self:
        try:
            x, y = map(float, text.split(","))
        except ValueError:
            raise MisuseError("expected X,Y, such as 0.5,-0.2") from None
        if not (abs(x) <= 1 and abs(y) <= 1):
            raise MisuseError("X and Y are from -1 to 1")
        return cls(x, y)

    def format_value(self) -> str:
        return f"{self.x:g},{self.y:g}"
