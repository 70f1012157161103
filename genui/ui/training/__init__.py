"""The parts of the Training screen: its curves, what is beside them, and what it remembers."""
