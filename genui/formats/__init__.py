"""The files of saved generations and the recipe in them, which reproduces the generation.

The app and the shell both write and read them, so nothing here imports torch or Textual.
"""
