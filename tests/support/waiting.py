"""Waiting for what another process or thread does."""

import time
from collections.abc import Callable

PATIENCE = 240.0  # seconds: much more than anything takes on a loaded machine


def wait_for(happened: Callable[[], object]) -> None:
    """Wait until something has happened; fail if it does not."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
