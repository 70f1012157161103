"""The tokens with which code models of others mark a gap to fill, by their family.

Prefix, suffix and then the middle (PSM of Bavarian et al. 2022), as in each model's card. A GGUF
file may name the three marks itself (`tokenizer.ggml.fim_pre_token_id` and so on).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from genui.engine.data.tokenizer import GapLayout


class GapMarks(NamedTuple):
    """The marks of a family: those before the prefix, the suffix and the middle, and those that
    end the middle besides the ends of every text."""

    prefix: str
    suffix: str
    middle: str
    ends: tuple[str, ...] = ()


GAP_MARKS: Mapping[str, GapMarks] = {
    "Qwen-Coder, CodeGemma": GapMarks(
        prefix="<|fim_prefix|>",
        suffix="<|fim_suffix|>",
        middle="<|fim_middle|>",
        ends=("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|file_separator|>"),
    ),
    "StarCoder, Granite": GapMarks(
        prefix="<fim_prefix>",
        suffix="<fim_suffix>",
        middle="<fim_middle>",
        ends=("<fim_pad>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>"),
    ),
    "SantaCoder": GapMarks(
        prefix="<fim-prefix>", suffix="<fim-suffix>", middle="<fim-middle>", ends=("<fim-pad>",)
    ),
    "CodeLlama": GapMarks(prefix="▁<PRE>", suffix="▁<SUF>", middle="▁<MID>", ends=("▁<EOT>",)),
    "DeepSeek-Coder": GapMarks(
        prefix="<｜fim▁begin｜>",
        suffix="<｜fim▁hole｜>",
        middle="<｜fim▁end｜>",
        ends=("<｜end▁of▁sentence｜>", "<|EOT|>"),
    ),
}
"""By the models that have them. A model may have the tokens without having been trained on them."""

FIELDS = ("fim_pre", "fim_suf", "fim_mid", "fim_pad", "fim_rep", "fim_sep")
"""Of the metadata of a GGUF file, each with `_token_id`: the marks, and three that end a middle."""


def find_layout(pieces: Sequence[str], fields: Mapping[str, Any]) -> GapLayout | None:
    """The layout of gaps with a vocabulary, by the `fields` of a GGUF file or else by its tokens;
    None if it has no marks."""
    id_of = {piece: token for token, piece in enumerate(pieces) if piece}
    named = [fields.get(f"{name}_token_id") for name in FIELDS]
    own = [pieces[t] if type(t) is int and 0 <= t < len(pieces) else "" for t in named]
    rows = [GapMarks(own[0], own[1], own[2], tuple(own[3:])), *GAP_MARKS.values()]
    ends = {id_of[piece] for row in rows for piece in row.ends if piece in id_of}
    for row in rows:
        prefix, suffix, middle = map(id_of.get, row[:3])
        if prefix is not None and suffix is not None and middle is not None:
            parts = (prefix, "prefix", suffix, "suffix", middle)
            return GapLayout(parts, frozenset(ends - {prefix, suffix, middle}))
    return None
