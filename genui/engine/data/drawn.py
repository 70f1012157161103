"""Pictures that a model drew, as `genui generate MODEL -n 20000 --out FOLDER` writes them."""

from pathlib import Path

import msgspec
from msgspec import Struct

from genui.engine.data.folder import load_folder, shown
from genui.engine.data.pictures import Pictures
from genui.errors import MisuseError
from genui.runs.catalog import ModelInfo, find_model
from genui.runs.checkpoints import weights_fingerprint

PLAN = "genui.json"
AGAIN = "genui generate MODEL -n 20000 --out FOLDER"


class _Plan(Struct):
    """What the folder says of how it was made; the rest does not matter here."""

    model: str
    fingerprint: str


def drawn_by(path: str) -> ModelInfo:
    """The model that drew a folder of pictures.

    Raises MisuseError where no model did, it is there no more, or its weights are others now.
    """
    folder = Path(path)
    try:
        plan = msgspec.json.decode((folder / PLAN).read_bytes(), type=_Plan)
    except (OSError, msgspec.DecodeError):
        raise MisuseError(
            f"against={shown(folder)}: is no folder of pictures that a model drew; {AGAIN}"
        ) from None
    model = find_model(plan.model)
    if weights_fingerprint(model.path) != plan.fingerprint:
        raise MisuseError(
            f"against={shown(folder)}: was drawn with other weights of {plan.model}; "
            f"name a new folder: {AGAIN}"
        )
    return model


def load_drawn(path: str) -> Pictures:
    """The pictures of such a folder, all of them to train with. Raises MisuseError."""
    return load_folder(path)
