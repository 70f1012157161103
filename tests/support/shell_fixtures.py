"""Fixtures for tests of the shell: models without weights, runs without trainers and an engine
without torch."""

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_fakes import FakeEngine, write_checkpoint

from genui.formats.recipe import Machine
from genui.protocol import kinds
from genui.recipes import find_recipe
from genui.runs.layout import RunDir, create_run


@pytest.fixture
def bare_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two shipped models without weights: `plays` writes, `shapes` draws."""
    weights = tmp_path / "weights"
    for name, recipe in (("plays", "shakespeare"), ("shapes", "icons")):
        write_checkpoint(weights / name / "model.safetensors", find_recipe(recipe))
        card = {"name": name, "quality": {"loss": "1.44 nats/char"}, "licence": "public domain"}
        (weights / name / "card.json").write_text(json.dumps(card))
    monkeypatch.setattr(kinds, "weights_folders", lambda: [weights])
    return weights


@pytest.fixture
def make_run() -> Callable[..., RunDir]:
    """A run as a trainer that is gone has left it."""

    def make(state: str = "finished", name: str = "tiny", step: int = 40) -> RunDir:
        run = create_run(find_recipe("shakespeare"), {"steps": "40"}, name)
        status = json.loads(run.status.read_bytes()) | {"state": state, "step": step, "pid": 1}
        run.status.write_text(json.dumps(status))
        return run

    return make


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    module = types.ModuleType("genui.engine.load")
    module.__dict__["stream"] = fake.stream
    module.__dict__["Streams"] = fake.streams
    monkeypatch.setitem(sys.modules, "genui.engine.load", module)
    replaying = types.ModuleType("genui.engine.replay")
    replaying.__dict__["machine"] = lambda: Machine(device="fake", precision="fp32", threads=1)
    monkeypatch.setitem(sys.modules, "genui.engine.replay", replaying)
    return fake


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two shipped models with weights, very small: `plays` writes, `shapes` draws."""
    from tiny_models import write_models

    weights = tmp_path / "tiny"
    write_models(weights)
    monkeypatch.setattr(kinds, "weights_folders", lambda: [weights])
    return weights
