"""The settings of the program: its file and the environment."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genui.base.config import Config, config_file, load_config, render_config, save_setting
from genui.base.errors import MisuseError
from genui.base.schema import settings_of
from genui.engine.device import default_threads, for_generation


def write(text: str) -> Path:
    path = config_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_a_file_all_is_as_at_a_first_start() -> None:
    assert load_config({}) == Config()


def test_the_environment_wins_over_the_file() -> None:
    write('fps = 30\nnotify = "9"\nbell = false\n')
    assert load_config({}) == Config(fps=30, notify="9", bell=False)
    environ = {"GENUI_FPS": "15", "GENUI_BELL": "yes", "SOUNDFONT": "/a.sf2", "GENUI_DATA": ""}
    assert load_config(environ) == Config(fps=15, notify="9", soundfont="/a.sf2")


@pytest.mark.parametrize(("text", "quiet"), [("1", "on"), ("0", "off"), ("auto", "auto")])
def test_quiet_is_understood_as_before(text: str, quiet: str) -> None:
    assert load_config({"GENUI_QUIET": text}).quiet == quiet


@pytest.mark.parametrize(
    ("text", "environ", "fault"),
    [
        ("thraeds = 1", {}, "no setting 'thraeds': did you mean 'threads'?"),
        ('fps = "x"', {}, 'fps = "x": expected a whole number, 1 to 240'),
        ("fps = 1000", {}, "expected a whole number, 1 to 240"),
        ('notify = "often"', {}, "expected one of "),
        ("fps = ", {}, "not TOML"),
        ("", {"GENUI_THREADS": "many"}, "GENUI_THREADS=many: expected a whole number, 0 to 4,096"),
    ],
)
def test_a_fault_is_one_line_with_file_and_remedy(
    text: str, environ: dict[str, str], fault: str
) -> None:
    path = write(text)
    with pytest.raises(MisuseError) as caught:
        load_config(environ)
    assert fault in str(caught.value)
    assert environ or str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_new_file_has_every_setting_and_only_what_was_set_counts() -> None:
    save_setting("fps", "60")
    text = config_file().read_text()
    for name, one in settings_of(Config).items():
        assert f"{one.help} [" in text
        assert f"{name} = " in text
    assert load_config({}) == Config(fps=60)
    assert text == render_config()


def test_setting_one_keeps_what_the_user_wrote() -> None:
    path = write('# mine\nfps = 60 # enough\n#theme = "old"\n')
    save_setting("theme", "a 'b' \"c\"")
    save_setting("threads", "3")
    text = path.read_text()
    assert text.startswith("# mine\nfps = 60 # enough\n")
    assert text.count("theme") == 1
    assert load_config({}) == Config(fps=60, theme="a 'b' \"c\"", threads=3)


def test_settings_that_are_saved_at_once_are_all_kept() -> None:
    values = {"fps": "60", "threads": "3", "theme": "mine", "bell": "no"}
    with ThreadPoolExecutor(len(values)) as pool:
        list(pool.map(save_setting, values, values.values()))
    assert load_config({}) == Config(fps=60, threads=3, theme="mine", bell=False)


@pytest.mark.parametrize(
    ("text", "name"),
    [('alert_text = """\n{name}\n{alert}"""\n', "alert_text"), ('"fps" = 60\n', "fps")],
)
def test_a_setting_that_one_line_cannot_replace_is_left(text: str, name: str) -> None:
    path = write(text)
    with pytest.raises(MisuseError, match="edit it there"):
        save_setting(name, "30")
    assert path.read_text() == text
    save_setting("threads", "3")
    assert load_config({}).threads == 3


@pytest.mark.parametrize(("name", "value"), [("thems", "x"), ("fps", "0"), ("bell", "loud")])
def test_nothing_invalid_is_written(name: str, value: str) -> None:
    with pytest.raises(MisuseError):
        save_setting(name, value)
    assert not config_file().exists()


def test_threads_are_those_of_the_setting() -> None:
    usual = default_threads()
    save_setting("threads", str(usual + 1))
    assert default_threads() == usual + 1


def test_a_process_generates_with_as_many_threads_as_at_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Models in memory and open traces go on with them, and recipes record them."""
    before = for_generation()
    monkeypatch.setenv("GENUI_THREADS", str(before.threads + 1))
    assert for_generation() == before


def test_a_link_to_the_settings_stays_a_link(tmp_path: Path) -> None:
    path, kept = write("fps = 30\n"), tmp_path / "dotfiles.toml"
    path.rename(kept)
    path.symlink_to(kept)
    save_setting("fps", "60")
    assert path.is_symlink()
    assert kept.read_text() == "fps = 60\n"


def test_only_the_user_can_read_the_settings() -> None:
    path = write("fps = 30\n")
    path.chmod(0o644)
    save_setting("alert_url", "https://ntfy.sh/secret")
    assert path.stat().st_mode & 0o777 == 0o600
