"""Names that say that their value is a secret, which is then neither written nor passed on."""

import re
from collections.abc import Sequence
from typing import Any

MASK = "***"

_VARIABLE = re.compile(r"(?i)TOKEN|KEY|SECRET|PASS|AUTH|CRED|(^|_)PAT(_|$)")
_SETTING = re.compile(
    r"(?i)(.*[^a-z])?((api|access|private|secret|auth|account|licen[cs]e)[-_. ]?key([-_. ]id)?"
    r"|token|secret|password|passwd|passphrase|credentials?|pat|webhook([-_. ]url)?)"
)
_OF_TOKENIZERS = re.compile(
    r"(?i)(.*[-_. ])?(bos|eos|pad|unk|sep|cls|mask|start|stop|end|image|audio|video|special)"
    r"[-_. ]token"
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NO_SECRET = re.compile(r"[<\[|$]|$")  # a special token, or where the secret is found
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_GIVEN = re.compile(r"(?:(?P<option>--?[\w.-]+)\s+|(?P<name>-{0,2}[\w.-]+)=)(?P<value>[^\s'\"]+)")


def is_secret_variable(name: str, value: str) -> bool:
    """Whether a variable of the environment may hold a secret, by its name or a login in it."""
    return bool(_VARIABLE.search(name) or _LOGIN.search(value))


def is_secret_setting(name: str) -> bool:
    """Whether a setting of that name is a secret: `api_key`, `hf_token`; not `eos_token`."""
    name = _CAMEL.sub("_", name)
    return bool(_SETTING.fullmatch(name)) and not _OF_TOKENIZERS.fullmatch(name)


def mask_settings(data: Any) -> Any:
    """Return JSON data with MASK in place of the texts of secret settings, at any depth."""
    if isinstance(data, dict):
        return {key: _mask_value(key, value) for key, value in data.items()}
    return [mask_settings(one) for one in data] if isinstance(data, list) else data


def _mask_value(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return mask_settings(value)
    return MASK if is_secret_setting(name) and not _NO_SECRET.match(value) else value


def mask_command(words: Sequence[str]) -> list[str]:
    """A command without the values of its secret options: `--token X`, `--api-key=X`,
    `HF_TOKEN=X`, `https://user:X@host`; also inside of a word, as for `sh -c`."""
    masked: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        if before.startswith("-") and is_secret_setting(before.lstrip("-")):
            masked.append(word if word.startswith("-") else MASK)
        else:
            masked.append(_LOGIN.sub(MASK, _GIVEN.sub(_mask_given, word)))
    return masked


def _mask_given(match: re.Match[str]) -> str:
    name = match["option"] or match["name"]
    if not is_secret_setting(name.lstrip("-")):
        return match[0]
    return match[0][: match.start("value") - match.start()] + MASK
