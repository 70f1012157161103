"""The code of a network for other programs: the files that genui computes it with."""

import dataclasses
import importlib
import inspect
import re
from pathlib import Path

from torch import nn

from genui.base.errors import GenuiError

_MODELS = "genui.engine.models."
_IMPORTED = re.compile(r"^ *(?:from|import) (genui(?:\.\w+)*)", re.MULTILINE)
_WRAPPED = re.compile(r"^from genui\S+ import \w+ as (Network(?:Config)?)$", re.MULTILINE)


def write_code(network: nn.Module, wrapper: str, file: Path) -> None:
    """Write a `wrapper`, a file of this folder, around a network as `file`, and beside it the file
    of the network's class and those that it imports.

    Raises GenuiError, without the model's name, if these need more of genui than its networks.
    """
    name, config = type(network).__name__, network.config
    if not dataclasses.is_dataclass(config):
        raise GenuiError(f"its network {name} has no dataclass as its configuration")
    classes = {"Network": type(network), "NetworkConfig": type(config)}
    waiting, texts = [cls.__module__ for cls in classes.values()], dict[str, str]()
    while waiting:
        module = waiting.pop()
        if module in texts:
            continue
        texts[module] = inspect.getsource(importlib.import_module(module))
        needed = _IMPORTED.findall(texts[module])
        if foreign := [each for each in needed if not each.startswith(_MODELS)]:
            raise GenuiError(
                f"its network {name} has no code for other programs: it needs {foreign[0]}"
            )
        waiting += needed
    for module, text in texts.items():
        code = text.replace(f"from {_MODELS}", "from .")
        file.with_name(f"{_stem(module)}.py").write_text(code, encoding="utf-8")

    def import_class(line: re.Match[str]) -> str:
        cls = classes[line[1]]
        return f"from .{_stem(cls.__module__)} import {cls.__name__} as {line[1]}"

    around = _WRAPPED.sub(import_class, Path(__file__).with_name(wrapper).read_text("utf-8"))
    # diffusers finds only the files that this one names.
    more = [f"from .{_stem(module)} import __doc__ as _  # noqa" for module in sorted(texts)]
    file.write_text("\n".join([around.rstrip(), "", *more, ""]), encoding="utf-8")


def _stem(module: str) -> str:
    return module.rpartition(".")[2]
