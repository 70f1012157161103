"""Probes: what a model is measured by. `python -m genui.engine.probes MODEL` prints them all."""
