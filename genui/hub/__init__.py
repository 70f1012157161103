"""Models that other people made: what their files contain, where they are, how they are fetched.

Nothing here imports torch or reads a tensor; `genui.engine.load` opens a model.
"""
