"""Values as a person types them: `.5` is a number too, which msgspec, reading JSON's, refuses."""

from typing import Any

import msgspec


def from_text(text: str | list[str], kind: Any) -> Any:
    """The value of that type. Raises msgspec.ValidationError where the text is none."""
    if isinstance(text, str) and text.strip().startswith("."):
        text = f"0{text.strip()}"
    return msgspec.convert(text, kind, strict=False)
