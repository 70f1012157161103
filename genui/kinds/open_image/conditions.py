"""Prompts and classes as token ids, and as the input of the networks.

The condition of a sample is a row of token ids, and after them the LoRA adapters that its caption
names. The text encoders run when a network first reads a row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from genui.base.errors import MisuseError, did_you_mean

NOTHING = -1
"""The id after the last token, and in every place of an empty prompt that is not encoded."""

Embeddings = tuple[Tensor, ...]
"""The input of a network for one sample: tensors without a batch dimension."""


class CaptionReader(Protocol):
    """How captions become token ids, and token ids the input of the network."""

    @property
    def length(self) -> int:
        """The number of ids of a sample."""
        ...

    def ids(self, caption: str) -> list[int]:
        """`length` token ids. Raises MisuseError for a caption that it cannot read."""
        ...

    def remarks(self, captions: Iterable[str]) -> list[str]:
        """Lines about the parts of captions that are not read."""
        ...

    def embed(self, ids: Tensor) -> Embeddings:
        """The input of the network for one row of ids [length]."""
        ...


class NoCaptions:
    """For models that draw without a condition."""

    length = 0

    def ids(self, caption: str) -> list[int]:
        return []

    def remarks(self, captions: Iterable[str]) -> list[str]:
        return ["this model takes no prompt"] if any(captions) else []

    def embed(self, ids: Tensor) -> Embeddings:
        return ()


@dataclass(frozen=True)
class ClassLabels:
    """Classes by number or name. No caption is the class that means none, as guidance needs it."""

    classes: int
    names: Mapping[str, int]

    length = 1

    def ids(self, caption: str) -> list[int]:
        return [self._read(caption.strip())]

    def _read(self, caption: str) -> int:
        if not caption:
            return self.classes
        if caption.isdecimal() and int(caption) < self.classes:
            return int(caption)
        if caption.lower() in self.names:
            return self.names[caption.lower()]
        otherwise = f"give a number from 0 to {self.classes - 1}"
        if self.names:
            otherwise += f", or a name such as '{next(iter(self.names))}'"
        raise MisuseError(
            f"no class {caption[:80]!r}: {did_you_mean(caption.lower(), self.names, otherwise)}"
        )

    def remarks(self, captions: Iterable[str]) -> list[str]:
        return []

    def embed(self, ids: Tensor) -> Embeddings:
        return (ids[0],)


def class_names(labels: Any) -> dict[str, int]:
    """The names of `id2label` in a folder's index, lower-case: "tench, Tinca tinca" is two."""
    names: dict[str, int] = {}
    for number, text in labels.items() if isinstance(labels, dict) else ():
        if str(number).isdecimal() and isinstance(text, str):
            for name in text.split(","):
                names.setdefault(name.strip().lower(), int(number))
    return names


@dataclass(frozen=True)
class Encoder:
    """A tokenizer and the text encoder that reads its ids."""

    tokenizer: Any
    model: Any
    length: int
    chat: bool = False
    """Whether a prompt is put into the chat template, as a user's turn."""
    pads: bool = True
    """Whether it reads the padding too, as CLIP and T5 do here."""

    def ids(self, caption: str) -> list[int]:
        """`length` ids, NOTHING in place of a padding that is not read."""
        text = caption
        if self.chat:
            text = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": caption}],
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=True,
            )
        options = {"padding": "max_length"} if self.pads else {}
        ids = self.tokenizer(text, truncation=True, max_length=self.length, **options).input_ids
        return ids + [NOTHING] * (self.length - len(ids))

    def is_too_long(self, caption: str) -> bool:
        """Whether the end of a caption is not read."""
        return len(self.tokenizer(caption).input_ids) > self.length

    def __call__(self, ids: Tensor) -> Any:
        """The encoder's output for one row of ids [length], as a batch of one."""
        return self.model(ids[ids >= 0][None], output_hidden_states=True)


Join = Callable[[Sequence[Any]], Embeddings]
"""Maps the outputs of the encoders to the input of the network."""


@dataclass(frozen=True)
class Prompts:
    """Prompts for one or more text encoders; the ids of a sample are theirs, one after another."""

    encoders: tuple[Encoder, ...]
    join: Join
    zero_empty: bool = False
    """Whether an empty prompt is all zeros instead of encoded."""

    @property
    def length(self) -> int:
        return sum(encoder.length for encoder in self.encoders)

    def ids(self, caption: str) -> list[int]:
        if self.zero_empty and not caption:
            return [NOTHING] * self.length
        return [token for encoder in self.encoders for token in encoder.ids(caption)]

    def remarks(self, captions: Iterable[str]) -> list[str]:
        captions = [caption for caption in dict.fromkeys(captions) if caption]
        lengths = {
            encoder.length
            for encoder in self.encoders
            if any(encoder.is_too_long(caption) for caption in captions)
        }
        return [f"only the first {longest} tokens are read" for longest in sorted(lengths)]

    def embed(self, ids: Tensor) -> Embeddings:
        if self.zero_empty and bool((ids < 0).all()):
            some = self.embed(torch.tensor(self.ids(" "), device=ids.device))
            return tuple(torch.zeros_like(part) for part in some)
        parts = ids.split([encoder.length for encoder in self.encoders])
        outputs = [encoder(part) for encoder, part in zip(self.encoders, parts, strict=True)]
        return self.join(outputs)
