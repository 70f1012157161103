"""Every test begins as a fresh process does: no run, and nothing said yet."""

from collections.abc import Iterator

import pytest

import genui
from genui.runs import api
from genui.runs.media import Notes


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(api, "_notes", Notes())
    yield
    genui.finish()
    api._process.current = None
