"""What files of earlier versions say, in today's words. What is read is never written back."""

from typing import Any

OLD_SIGMA_MIN = 0.03
"""The lowest noise level of images before it could be chosen, whatever the number of steps."""


def upgrade(fields: Any) -> Any:
    """The JSON of a saved generation as this version would have written it.

    Settings of images that name no `sigma_min` were written before there was one, and mean 0.03;
    written since, they name one or null.
    """
    if isinstance(fields, list):
        return [upgrade(item) for item in fields]
    if not isinstance(fields, dict):
        return fields
    upgraded = {key: upgrade(value) for key, value in fields.items()}
    if upgraded.get("type") == "image" and "steps" in upgraded:
        upgraded.setdefault("sigma_min", OLD_SIGMA_MIN)
    return upgraded
