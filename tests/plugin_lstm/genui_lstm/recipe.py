"""The recipe of the LSTM."""

from dataclasses import dataclass

from genui.recipes import TextRecipe


@dataclass(frozen=True, kw_only=True)
class LstmRecipe(TextRecipe):
    """An LSTM on tokens (Hochreiter & Schmidhuber 1997)."""

    family: str = "lstm"


LSTM_RECIPES = (
    LstmRecipe(
        name="plays-lstm",
        dataset="shakespeare",
        summary="Shakespeare's plays, by an LSTM",
        steps=500,
    ),
)
