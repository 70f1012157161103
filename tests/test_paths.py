from pathlib import Path

import pytest

from genui.base import paths


def test_genui_home_moves_everything(genui_home: Path) -> None:
    for place in (
        paths.runs_dir,
        paths.downloads_dir,
        paths.cache_dir,
        paths.state_dir,
        paths.config_dir,
    ):
        assert genui_home in place().parents


def test_without_it_the_platform_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GENUI_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "genui" in paths.data_dir().parts
