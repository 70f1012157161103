"""A plug-in as pip installs it, without a network or a build."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path


def install_plugin(example: Path, place: Path) -> None:
    """What `pip install EXAMPLE` leaves in a folder: its modules, and its entry points."""
    project = tomllib.loads((example / "pyproject.toml").read_text())["project"]
    ignored = shutil.ignore_patterns("pyproject.toml", "__pycache__")
    shutil.copytree(example, place, ignore=ignored, dirs_exist_ok=True)
    info = place / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = (
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in points.items()), ""])
        for group, points in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups))


_COMMANDS = """
import json, sys
from genui.cli.main import main
for words in json.loads(sys.argv[1]):
    try:
        code = main(words)
    except SystemExit as left:  # as --help does
        code = left.code
    if code:
        sys.exit(code)
    print(end="\\f", flush=True)
"""


class Site:
    """A place with an installed plug-in, and what is trained and generated there."""

    def __init__(self, example: Path, folder: Path) -> None:
        self.folder = folder
        install_plugin(example, folder / "site")
        self.bare = os.environ | {
            "GENUI_HOME": str(folder / "home"), "GENUI_FIND_MODELS": "no", "GENUI_QUIET": "1",
        }  # fmt: skip
        path = (str(folder / "site"), os.environ.get("PYTHONPATH", ""))
        self.environment = self.bare | {"PYTHONPATH": os.pathsep.join(path)}

    def python(self, *words: str) -> str:
        """What Python prints with genui and the plug-in. Fails where it fails."""
        done = subprocess.run(
            [sys.executable, *words],
            env=self.environment, cwd=self.folder, text=True, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def genui(self, *commands: Sequence[str]) -> list[str]:
        """What each of the commands prints, one after the other in one process: to start it takes
        longer than most of them."""
        return self.python("-c", _COMMANDS, json.dumps(commands)).split("\f")[:-1]


def train(recipe: str, steps: int, settings: Sequence[str]) -> list[str]:
    """The command that trains a model called `mine`."""
    changes = [word for pair in settings for word in ("--set", pair)]
    return ["train", recipe, "--steps", str(steps), "--name", "mine", *changes, "--foreground"]
