"""A model's chat template: messages to the text that it was trained on (Jinja)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from genui.base.errors import GenuiError
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
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        special = self._tokenizer.special
        begin, end = self._tokenizer.begin, self._tokenizer.end
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
