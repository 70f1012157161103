"""A model's chat template: messages to the text that it was trained on (Jinja)."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from genui.base.errors import GenuiError
from genui.engine.data import fill_template
from genui.engine.data.conversations import Message

if TYPE_CHECKING:
    from genui.engine.data.tokenizer import Tokenizer


class ChatTemplate:
    """The template of a tokenizer. Raises GenuiError when it is used and there is none."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer: Any = tokenizer

    def render(self, messages: Sequence[Message], prompt: bool) -> str:
        """The messages as one text, with `prompt` up to where the assistant writes."""
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        source = getattr(self._tokenizer, "chat_template", "")
        if not source:
            raise GenuiError(
                "this model has no chat template; give lines of prompt and completion instead"
            )
        special = self._tokenizer.special
        begin, end = self._tokenizer.begin, self._tokenizer.end
        roles = tuple(message.role for message in messages)
        _, fault = fill_with_marks(source, roles, special.get(begin, ""), special.get(end, ""))
        if fault:  # before this process, without limits, fills it
            raise GenuiError(f"its chat template does not accept a chat: {fault}")
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        try:
            return environment.from_string(source).render(
                messages=[{"role": m.role, "content": m.content} for m in messages],
                add_generation_prompt=prompt,
                bos_token=special.get(begin, ""),
                eos_token=special.get(end, ""),
            )
        except TemplateError as error:
            raise GenuiError(f"its chat template: {str(error)[:120]}") from None

    def encode(self, text: str) -> list[int]:
        """The token ids of a rendered text, in which special tokens are spelled out."""
        return self._tokenizer.encode_with_special(text)


def _refuse(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)


# --- Filled with marks, in a process with limits ----------------------------------------------

_MARK = "\tGENUIMESSAGE{}END\t"
MARK = re.compile(r"(\t?)GENUIMESSAGE(\d+)END(\t?)")
"""Where a message stands; the tabs are missing if the template strips messages."""


@lru_cache(maxsize=256)
def fill_with_marks(template: str, roles: tuple[str, ...], begin: str, end: str) -> tuple[str, str]:
    """The template filled with marks for messages of these roles, or "" and what is wrong."""
    messages = [
        {"role": role, "content": _MARK.format(number)}
        for role, number in zip(roles, itertools.count(), strict=False)
    ]
    values = {
        "messages": messages,
        "add_generation_prompt": True,
        "bos_token": begin,
        "eos_token": end,
    }
    seconds = fill_template.SECONDS
    command = [sys.executable, "-P", fill_template.__file__]
    try:
        child = subprocess.run(
            command,
            input=json.dumps({"template": template, "values": values, "seconds": seconds}),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=4 * seconds,  # of a busy machine
            check=False,
        )
        reply = json.loads(child.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return "", f"it did not end within {seconds} s"
    return reply.get("text", ""), reply.get("fault", "")
