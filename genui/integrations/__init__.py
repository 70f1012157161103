"""Callbacks and loggers for other people's training loops; one small file for each library.

A file imports its library, so it is imported by name: `genui.integrations.huggingface`. Each writes
the run of `genui.init`, as a script's own `run.log` would.
"""
