"""A plug-in of genui: an LSTM that writes text and code. The network is a file of its own, since it
needs torch and the app, which reads this file, has none."""

from typing import TYPE_CHECKING

from genui.kinds.text import text_kinds
from genui.protocol.kinds import Recipes

if TYPE_CHECKING:
    from genui.engine.kinds import BuildNetwork


def recipes() -> Recipes:
    from genui_lstm.recipe import LSTM_RECIPES, LstmRecipe

    return Recipes(LstmRecipe, LSTM_RECIPES)


def network() -> "BuildNetwork":
    from genui_lstm.network import build_lstm

    return build_lstm


KINDS = text_kinds("lstm", recipes, network)
