"""genui: a laboratory for generative models in a terminal.

Importing this package is cheap: it imports neither torch nor textual.
"""

__version__ = "0.1.0"
