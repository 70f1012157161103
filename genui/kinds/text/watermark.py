"""How the watermarks of text are found in files: neither torch nor the model's weights are needed.

A text is read as tokens of the model that its recipe names. Without a recipe the tokenizers of the
models at hand are tried, and p is corrected for their number.
"""

from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from genui.base.errors import GenuiError
from genui.base.files import read_regular, show
from genui.base.watermarks import Reading, Search
from genui.engine.loaders import load_tokenizer, try_models
from genui.engine.sample.watermark import count_text
from genui.formats.codec import read as read_file
from genui.formats.text import RECIPE_LINE, decode_utf8
from genui.protocol import TextSettings
from genui.runs.models import ModelInfo

LARGEST = 1 << 20  # bytes of a text


def read(name: str, search: Search) -> list[Reading]:
    """Read a text as tokens; a row of `Watermark`.

    Raises GenuiError, one line that names the file, if it is no text or over 1 MB.
    """
    data = read_regular(search.path, LARGEST, "give a part of it")
    text = decode_utf8(data, show(search.path)).partition(f"\n{RECIPE_LINE}")[0]
    settings, recorded = _read_recipe(search.path)
    settings = settings if settings.watermark == name else TextSettings(watermark=name)  # type: ignore[arg-type] - a name of SCHEMES

    def encode(model: ModelInfo) -> bytes:
        return load_tokenizer(model).encode_array(text).astype(np.int32).tobytes()

    def count(tokens: bytes, key: int) -> tuple[float, int]:
        counted = count_text(np.frombuffer(tokens, np.int32), key, settings)
        return counted.p, counted.pairs

    texts = dict.fromkeys(try_models(name, search, recorded, encode))
    return [partial(count, tokens) for tokens in texts]


def _read_recipe(path: Path) -> tuple[TextSettings, str]:
    """The settings and the model of a file's recipe; the usual ones and "" without it."""
    with suppress(GenuiError):
        start = read_file(path).start
        if isinstance(start.settings, TextSettings):
            return start.settings, start.model
    return TextSettings(), ""
