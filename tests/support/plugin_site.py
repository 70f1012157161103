"""A plug-in as pip installs it, without a network or a build."""

import shutil
import tomllib
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
