"""Kinds of models, a folder each: `genui.protocol.kinds` lists them."""
