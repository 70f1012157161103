"""Numbers as people type them, wherever they are typed."""

import msgspec
import pytest

from genui.base.schema import settings_of
from genui.base.text import from_text
from genui.protocol import ImageSettings
from genui.protocol.settings import parse_axes
from genui.recipes import find_recipe, override


@pytest.mark.parametrize(("text", "value"), [(".5", 0.5), (" .25", 0.25), ("1e-3", 0.001)])
def test_a_number_may_begin_with_its_point(text: str, value: float) -> None:
    assert from_text(text, float) == value
    assert override(find_recipe("prose"), {"learning_rate": text}).learning_rate == value
    assert settings_of(ImageSettings)["eta"].parse(text, "eta") == value
    assert parse_axes(f"eta {text}, 1", "")


@pytest.mark.parametrize("text", ["", ".", ".x", "..5", "-", "0.5.1"])
def test_what_is_no_number_stays_none(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        from_text(text, float)
