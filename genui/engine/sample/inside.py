"""Reading and changing what happens inside a network, by hooks on the modules of its layers.

Nothing is attached while a model generates without edits of its layers, so its bits and its speed
are those of the network alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.device import Machine, autocast
from genui.engine.models.language_model import LanguageModel, LayeredModel, LayerParts
from genui.protocol import Ablate, Patch, Steer
from genui.protocol.settings import LayerEdit


def parts_of(model: LanguageModel) -> tuple[LayerParts, ...]:
    """The layers of a model; none if it does not show them."""
    return model.layer_parts() if isinstance(model, LayeredModel) else ()


# --- Interventions: edits of layers, from a position on -----------------------------------------


@dataclass(frozen=True)
class Intervention:
    """An edit of a layer that holds from `position` on; a patch holds at `position` only.

    Positions count tokens of the model's input. `vector` [C] is what a Steer adds, or what a Patch
    writes; it follows from the edit.
    """

    edit: LayerEdit
    position: int
    vector: Tensor | None = field(default=None, compare=False, repr=False)

    def rows(self, start: int, count: int) -> slice:
        """Which of the `count` positions from `start` on it concerns."""
        first = min(max(self.position - start, 0), count)
        if isinstance(self.edit, Patch):
            return slice(first, first + 1) if self.position >= start else slice(0, 0)
        return slice(first, count)


Interventions = tuple[Intervention, ...]


def relative_to(interventions: Interventions, first: int) -> Interventions:
    """The interventions in a context that begins at position `first`."""
    return tuple(
        replace(one, position=max(one.position - first, 0))
        for one in interventions
        if one.position >= first or not isinstance(one.edit, Patch)
    )


def first_difference(one: Interventions, other: Interventions) -> float:
    """The first position that is read differently under two lists of interventions."""
    for at, (a, b) in enumerate(zip_longest(one, other)):
        if a != b:
            return min(each.position for each in (*one[at:], *other[at:]))
    return float("inf")


def build_intervention(
    model: LanguageModel,
    machine: Machine,
    edit: LayerEdit,
    length: int,
    encode: Callable[[str], Sequence[int]],
) -> Intervention:
    """The intervention of an edit after `length` tokens; `encode` returns a text's token ids.

    Raises MisuseError if the model has no such layer, head or token, or does not show its layers.
    """
    parts = parts_of(model)
    if not isinstance(model, LayeredModel) or not parts:
        raise MisuseError("this model does not show its layers, so they cannot be edited")
    if edit.layer > len(parts):
        raise MisuseError(f"layer {edit.layer}: this model has layers 1 to {len(parts)}")
    match edit:
        case Ablate(layer=layer, head=head):
            heads = parts[layer - 1].heads
            if head is not None and head > heads:
                raise MisuseError(f"head {head}: layer {layer} has heads 1 to {heads}")
            return Intervention(edit, length - 1)
        case Steer(layer=layer, strength=strength):
            means = []
            for text in (edit.towards, edit.away):
                stream = _stream(model, machine, layer, encode(text))
                means.append(stream[min(1, len(stream) - 1) :].mean(0))
            return Intervention(edit, length - 1, strength * (means[0] - means[1]))
        case Patch(layer=layer, position=position):
            token_ids = (*(encode(edit.text) if edit.text else ()), *edit.token_ids)
            source = position + (len(token_ids) if position < 0 else 0)
            position += length if position < 0 else 0
            if not 0 <= position < length:
                raise MisuseError(
                    f"position {edit.position}: this text has positions 0 to {length - 1}"
                )
            if not 0 <= source < len(token_ids):
                raise MisuseError(
                    f"position {edit.position}: the other text has positions "
                    f"0 to {len(token_ids) - 1}"
                )
            stream = _stream(model, machine, layer, token_ids[: source + 1])
            return Intervention(edit, position, stream[-1])


@torch.inference_mode()
def _stream(model: LayeredModel, machine: Machine, layer: int, token_ids: Sequence[int]) -> Tensor:
    """The residual stream after a layer, fp32 [T, C], for the tokens alone, read in one pass; of
    longer texts than the context the end."""
    row = torch.tensor([list(token_ids)[-model.context :]], device=model.device)
    with autocast(machine):
        return model.hidden_states(row)[layer][0].float()


@contextmanager
def intervening(
    model: LanguageModel, interventions: Interventions, start: int = 0
) -> Iterator[None]:
    """Within the block the model reads with the interventions, one row of tokens.

    `start` is the position of the first token that it reads; each pass goes on where the last one
    ended.
    """
    if not interventions:
        yield
        return
    parts = parts_of(model)
    place = _Place(start)
    with ExitStack() as hooks:
        begins = parts[0].block.register_forward_pre_hook(place.pass_begins, prepend=True)
        hooks.callback(begins.remove)
        for one in reversed(interventions):  # each before the hooks that are there
            layer = parts[one.edit.layer - 1]
            match one.edit:
                case Ablate(head=None):
                    handle = layer.feed_forward.register_forward_hook(
                        _clear(one, place), prepend=True
                    )
                case Ablate(head=head):
                    assert head is not None
                    clear = _clear_head(one, place, head - 1, layer.heads)
                    handle = layer.mixer.register_forward_pre_hook(clear, prepend=True)
                case Steer() | Patch():
                    handle = layer.block.register_forward_hook(_change(one, place), prepend=True)
            hooks.callback(handle.remove)
        yield


class _Place:
    """The positions of the pass that is running."""

    def __init__(self, start: int) -> None:
        self.start = self.end = start

    def pass_begins(self, _: nn.Module, args: tuple[Any, ...]) -> None:
        self.start, self.end = self.end, self.end + args[0].shape[1]

    def rows(self, one: Intervention) -> slice:
        return one.rows(self.start, self.end - self.start)


def _clear(one: Intervention, place: _Place) -> Callable[..., Tensor]:
    def hook(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, place.rows(one)] = 0
        return output

    return hook


def _clear_head(
    one: Intervention, place: _Place, head: int, heads: int
) -> Callable[..., tuple[Tensor]]:
    def hook(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor]:
        x = args[0].clone()
        x.unflatten(-1, (heads, -1))[:, place.rows(one), head] = 0
        return (x,)

    return hook


def _change(one: Intervention, place: _Place) -> Callable[..., Any]:
    """Steer or patch what a layer returns."""
    assert one.vector is not None
    vector, replaces = one.vector, isinstance(one.edit, Patch)

    def hook(_: nn.Module, __: Any, output: Any) -> Any:
        stream = (output[0] if isinstance(output, tuple) else output).clone()
        rows, added = place.rows(one), vector.to(stream.dtype)
        stream[:, rows] = added if replaces else stream[:, rows] + added
        return (stream, *output[1:]) if isinstance(output, tuple) else stream

    return hook


# --- Recording the last token that is read ------------------------------------------------------


@dataclass
class Record:
    """What a pass of L layers computed at its last position, fp32. Filled while the model reads."""

    parts: tuple[LayerParts, ...]
    streams: list[Tensor]  # L + 1: the residual stream [C] before the first layer and after each
    mixed: list[Tensor]  # L: the input of each mixer [H · D]
    fed: list[Tensor]  # L: what each feed-forward added [C]

    def heads_of(self, layer: int) -> Tensor:
        """What each head of a layer, from 0, added to the residual stream: fp32 [H, C]."""
        part = self.parts[layer]
        weight = next(part.mixer.parameters())
        mixed = self.mixed[layer].to(weight.dtype)
        # One product reads the weights once: of each head alone, of none, and of all.
        rows = mixed.new_zeros(part.heads + 2, part.heads, len(mixed) // part.heads)
        heads = torch.arange(part.heads)
        rows[heads, heads] = rows[-1] = mixed.view(part.heads, -1)
        products = (part.mix or part.mixer)(rows.flatten(1)).float()
        added, whole = products[:-2] - products[-2], products[-1]
        if part.mixer_norm is not None:  # it is linear once its scale is frozen
            added = added * (part.mixer_norm(whole).float() / whole).nan_to_num()
        return added


@contextmanager
def recording(model: LanguageModel) -> Iterator[Record]:
    """Records what the model computes within the block for one row of tokens."""
    parts = parts_of(model)
    nothing = torch.empty(0)
    record = Record(
        parts, [nothing] * (len(parts) + 1), [nothing] * len(parts), [nothing] * len(parts)
    )

    def keep(kept: list[Tensor], at: int) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any = None) -> None:
            value = args if output is None else output
            value = value[0] if isinstance(value, tuple) else value
            kept[at] = value[0, -1].float()

        return hook

    with ExitStack() as hooks:
        first = keep(record.streams, 0)
        hooks.callback(parts[0].block.register_forward_pre_hook(first).remove)
        for at, part in enumerate(parts):
            for handle in (
                part.mixer.register_forward_pre_hook(keep(record.mixed, at)),
                part.feed_forward.register_forward_hook(keep(record.fed, at)),
                part.block.register_forward_hook(keep(record.streams, at + 1)),
            ):
                hooks.callback(handle.remove)
        yield record
