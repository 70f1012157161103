"""A plug-in of genui: an LSTM that writes text and code. The network is a file of its own, since it
needs torch and the app, which reads this file, has none."""

from genui.base.late import late_imports
from genui.kinds.text import text_kinds
from genui.protocol.kinds import Recipes

with late_imports():
    from genui_lstm import network, recipe

KINDS = text_kinds(
    "lstm",
    lambda: Recipes(recipe.LstmRecipe, recipe.LSTM_RECIPES),
    lambda: network.build_lstm,
)
