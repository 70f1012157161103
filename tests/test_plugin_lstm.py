"""A text network as a plug-in: one folder outside genui, trained, generating and replayed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_site import install_plugin

EXAMPLE = Path(__file__).with_name("plugin_lstm")
SMALL = ("batch=4", "width=32", "layers=1", "context=32", "device=cpu", "threads=1")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """What `pip install tests/plugin_lstm` leaves, without a network or a build."""
    place = tmp_path / "site"
    install_plugin(EXAMPLE, place)
    return place


def test_a_network_of_a_plug_in_is_trained_writes_and_is_replayed(
    site: Path, tmp_path: Path
) -> None:
    def genui(*words: str) -> str:
        inherited = os.environ.get("PYTHONPATH", "")
        done = subprocess.run(
            [sys.executable, "-m", "genui", *words],
            env=os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{inherited}"},
            cwd=tmp_path,
            text=True,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "plays-lstm" in genui("recipes")
    settings = [word for pair in SMALL for word in ("--set", pair)]
    genui("train", "plays-lstm", "--steps", "2", "--name", "mine", *settings, "--foreground")
    words = ("generate", "mine", "--prompt", "ROMEO:", "--tokens", "8", "--seed", "1")
    genui(*words, "--out", "a.txt")
    assert genui("replay", "a.txt").strip() == "identical"
    assert "lstm" in genui("models")
