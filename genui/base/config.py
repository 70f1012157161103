"""The user's settings of the program: config.toml in the config folder, under the environment.

`Config` is the schema. `genui config` prints the file with every setting and its comment. A
variable of the environment wins over the file.
"""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from genui.base import paths
from genui.base.errors import MisuseError, did_you_mean
from genui.base.files import atomic_write, lock_folder, read_toml
from genui.base.schema import Setting, about, settings_of

FILE = "config.toml"
AUTO = "auto"
_LISTS = "genui config"

_VARIABLES = {"soundfont": "SOUNDFONT"}  # the others are GENUI_NAME
_BOOLEANS = {"1": "true", "on": "true", "yes": "true", "0": "false", "off": "false", "no": "false"}


class Config(Struct, frozen=True, kw_only=True):
    """The settings; each default is the value at the first start."""

    theme: Annotated[
        str, about("colour theme of the app (Ctrl+P shows them); auto follows the terminal")
    ] = AUTO
    quiet: Annotated[
        Literal["auto", "on", "off"],
        about("on: Home stands still; off: its models compute, even while the machine is busy"),
    ] = AUTO
    bell: Annotated[bool, about("alerts ring the bell and notify the desktop")] = True
    notify: Annotated[
        Literal["auto", "9", "777", "off"],
        about("the OSC sequence of desktop notifications; auto goes by the terminal's name"),
    ] = AUTO
    images: Annotated[
        Literal["auto", "blocks", "kitty", "iterm2", "sixel"],
        about("blocks: half-blocks; auto: in pixels by a protocol that the terminal has"),
    ] = AUTO
    alert_url: Annotated[
        str, about("address that alerts are sent to: a topic of ntfy, or a webhook of a chat")
    ] = ""
    alert_service: Annotated[
        Literal["auto", "ntfy", "text", "discord"],
        about(
            "how alert_url takes a text; text is Slack, Mattermost, Google Chat; auto: by its host"
        ),
    ] = AUTO
    alert_text: Annotated[
        str, about("all that is sent; of {name} {alert} {step} {host} {project}")
    ] = "{name}: {alert}"
    fps: Annotated[
        int, Meta(ge=1, le=240), about("how often the app is painted at most, per second")
    ] = 120
    threads: Annotated[
        int,
        Meta(ge=0, le=4096),
        about(
            "CPU threads of a training, and of generation from the next start on; "
            "0: one less than the cores"
        ),
    ] = 0
    precision: Annotated[
        Literal["fp32", "bf16"],
        about("of generation; bf16 halves an open model's memory and rounds more"),
    ] = "fp32"
    core_watts: Annotated[
        float, Meta(gt=0, le=1000), about("assumed watts of a busy core, where no counter is read")
    ] = 4.0
    grid: Annotated[
        float, Meta(ge=0, le=5000), about("grams of CO₂e a kWh of your electricity; 0: not shown")
    ] = 0.0
    data: Annotated[str, about("folder with downloads, used instead of the network")] = ""
    find_models: Annotated[
        bool, about("list the models that Hugging Face, Ollama, LM Studio and llama.cpp keep here")
    ] = True
    certificate: Annotated[
        str,
        about(
            "path of the PEM that signs files: certificates and private key, which only you may "
            "read; empty: one of this machine, made at first use"
        ),
    ] = ""
    trusted_roots: Annotated[
        str,
        about("path of root certificates, PEM, that genui verify believes; empty: your own"),
    ] = ""
    emoji_font: Annotated[str, about("path of NotoColorEmoji.ttf, to train emoji")] = ""
    soundfont: Annotated[str, about("path of the .sf2 soundfont for --gm")] = ""


def config_file() -> Path:
    """The path of config.toml, which need not exist."""
    return paths.config_dir() / FILE


def variable(name: str) -> str:
    """The environment variable that overrides a setting."""
    return _VARIABLES.get(name, f"GENUI_{name.upper()}")


def load_config(environ: Mapping[str, str] = os.environ) -> Config:
    """The settings of the file, overridden by those of the environment.

    Raises MisuseError, one line, if the file cannot be read, or a name or value is invalid.
    """
    path = config_file()
    values = _check(path, _read(path))
    for name in Config.__struct_fields__:
        if text := environ.get(variable(name), ""):
            values[name] = _parse(settings_of(Config)[name], text, f"{variable(name)}={text}")
    return Config(**values)


def save_setting(name: str, text: str) -> Path:
    """Write one setting to the file, keep all else in it, and return its path.

    A new file has every setting, with the others commented out. Raises MisuseError for an unknown
    name or invalid value, or if the file is damaged; GenuiError if it cannot be written.
    """
    path = config_file()
    known = settings_of(Config)
    if name not in known:
        raise MisuseError(f"no setting '{name}': {did_you_mean(name, known, lists=_LISTS)}")
    value = _parse(known[name], text, f"{name} {text}")
    with lock_folder(path.parent):
        values = _check(path, _read(path))
        before = path.read_text("utf-8") if path.exists() else render_config(values)
        line = _line(name, value)
        pattern = re.compile(rf"^(?:#[ \t]*)?{name}[ \t]*=.*$", re.MULTILINE)
        places = sorted(pattern.finditer(before), key=lambda match: match[0].startswith("#"))
        if places:
            after = before[: places[0].start()] + line + before[places[0].end() :]
        else:
            after = f"{before.rstrip()}\n\n{_comment(known[name])}\n{line}\n"
        import tomllib  # late: the app paints sooner for those without a file

        written: Mapping[str, Any] = {}
        with suppress(tomllib.TOMLDecodeError):
            written = tomllib.loads(after)
        if written.get(name) != value:  # a text of several lines, or a name in quotes
            raise MisuseError(
                f"{path}: {name} is not plain `NAME = VALUE` in one line; edit it there"
            )
        # A link stays one: settings may be kept with others. Only you may read alert_url.
        atomic_write(Path(os.path.realpath(path)), after.encode(), durable=False, mode=0o600)
    return path


def render_config(values: Mapping[str, Any] | None = None) -> str:
    """The file with every setting and its comment; those not in `values` are commented out."""
    values = _check(config_file(), _read(config_file())) if values is None else values
    parts = [
        "# Settings of genui. Remove the # before a line to change it, or use\n"
        "# `genui config set NAME VALUE`. The variable in brackets overrides the line."
    ]
    for name, one in settings_of(Config).items():
        line = _line(name, values[name]) if name in values else f"# {_line(name, one.default)}"
        parts.append(f"{_comment(one)}\n{line}")
    return "\n\n".join(parts) + "\n"


def _comment(one: Setting) -> str:
    return f"# {one.help} [{variable(one.name)}]"


def _line(name: str, value: Any) -> str:
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"  # the same in TOML


def _parse(one: Setting, text: str, label: str) -> Any:
    """A value as typed in the shell. GENUI_QUIET=1 and on, true, yes … mean the same."""
    if one.type == "bool":
        text = _BOOLEANS.get(text.lower(), text)
    elif one.name == "quiet":
        text = {"true": "on", "false": "off"}.get(_BOOLEANS.get(text, text), text)
    return one.parse(text, label)


def _read(path: Path) -> dict[str, Any]:
    """The table of the file, empty if there is none."""
    return read_toml(path, "correct or remove it") or {}


def _check(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    known = settings_of(Config) if table else {}  # the app starts sooner without
    for name, value in table.items():
        if name not in known:
            near = did_you_mean(name, known, lists=_LISTS)
            raise MisuseError(f"{path}: no setting '{name}': {near}")
        one = known[name]
        try:
            msgspec.convert(value, one.hint)
        except msgspec.ValidationError:
            raise MisuseError(
                f"{path}: {_line(name, str(value))}: expected {one.expected}"
            ) from None
    return dict(table)
