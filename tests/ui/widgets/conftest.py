"""Widgets are drawn in truecolour."""

import pytest


@pytest.fixture(autouse=True)
def drawn_in_truecolour(truecolour: None) -> None: ...
