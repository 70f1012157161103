"""Folders for data, cache, state and configuration.

With `GENUI_HOME` all are under that folder; without it they follow the rules of the platform
(platformdirs).
"""

import os
from pathlib import Path

APP_NAME = "genui"


def _home() -> Path | None:
    value = os.environ.get("GENUI_HOME")
    return Path(os.path.expanduser(value)).absolute() if value else None


def _place(sub: str, kind: str) -> Path:
    home = _home()
    if home is not None:
        return home / sub
    import platformdirs  # takes 10 ms, and is not needed if GENUI_HOME is set

    return Path(getattr(platformdirs, f"user_{kind}_path")(APP_NAME))


def data_dir() -> Path:
    """Runs and downloads: files worth a backup."""
    return _place("data", "data")


def runs_dir() -> Path:
    """One folder a run."""
    return data_dir() / "runs"


def sweeps_dir() -> Path:
    """One folder a sweep; its trials are runs."""
    return data_dir() / "sweeps"


def downloads_dir() -> Path:
    """Checksummed data sets fetched on demand."""
    return data_dir() / "downloads"


def cache_dir() -> Path:
    """Files that can be computed again: generated images, trained tokenizers."""
    return _place("cache", "cache")


def state_dir() -> Path:
    """Small state of the app: keys.toml, views of curves, hints already seen."""
    return _place("state", "state")


def config_dir() -> Path:
    """The file that the user edits: config.toml."""
    return _place("config", "config")


def weights_dir() -> Path:
    """The checkpoints shipped inside the package (read-only)."""
    return Path(__file__).parents[1] / "weights"
