"""What the shell promises: names, keys of JSON, exit codes, and one line for what is wrong."""

import json
import re
from pathlib import Path

import pytest
from net_shell import LAB, MUSIC, OLD, genui, genui_anew, has

from genui.protocol.kinds import KINDS

COMMANDS = {
    "models", "recipes", "train", "runs", "watch", "inspect", "export", "pause", "resume", "stop",
    "checkpoint", "evaluate", "set", "generate", "compare", "twins", "probes", "average",
    "worth", "sheet", "replay", "traces", "show", "doctor",
    *(command for kind in KINDS.values() for command in kind.commands),
}  # fmt: skip

SHIPPED = {  # name: family, medium, parameters, step
    "chorales": ("transformer", "music", 700),
    "emoji": ("diffusion", "image", 520),
    "emoji-labels": ("classifier", "image", 500),
    "fashion": ("diffusion", "image", 500),
    "fashion-gan": ("gan", "image", 4000),
    "fashion-labels": ("classifier", "image", 3600),
    "icons": ("diffusion", "image", 330),
    "icons-labels": ("classifier", "image", 500),
    "python": ("transformer", "code", 4600),
    "python-or-prose": ("classifier", "text", 120),
    "shakespeare": ("transformer", "text", 2400),
    "speakers": ("classifier", "text", 90),
    "video": ("diffusion", "video", 1000),
    "voice": ("diffusion", "audio", 1850),
    "voice-digits": ("classifier", "audio", 500),
    "voice-speakers": ("classifier", "audio", 500),
}
SHIPPED = {name: row for name, row in SHIPPED.items() if has(row[:2])}

RECIPES = {
    "shakespeare": ("transformer", "text"),
    "python": ("transformer", "code"),
    "prose": ("transformer", "text"),
    "icons": ("diffusion", "image"),
    "emoji": ("diffusion", "image"),
    "fashion": ("diffusion", "image"),
    "fashion-gan": ("gan", "image"),
    "icons-gan": ("gan", "image"),
    "emoji-gan": ("gan", "image"),
    "video": ("diffusion", "video"),
    "voice": ("diffusion", "audio"),
    "voice-digits": ("classifier", "audio"),
    "voice-speakers": ("classifier", "audio"),
    "chorales": ("transformer", "music"),
    "fashion-labels": ("classifier", "image"),
    "icons-labels": ("classifier", "image"),
    "emoji-labels": ("classifier", "image"),
    "speakers": ("classifier", "text"),
    "python-or-prose": ("classifier", "text"),
}
RECIPES = {name: kind for name, kind in RECIPES.items() if has(kind)}


@pytest.fixture
def empty_home(tmp_path: Path) -> Path:
    """The home of somebody new."""
    home = tmp_path / "new"
    home.mkdir()
    return home


def test_help_names_every_command(empty_home: Path) -> None:
    done = genui_anew(empty_home, "--help").ok()
    assert set(re.findall(r"^ {2,4}([a-z]+) ", done.out, re.MULTILINE)) >= COMMANDS
    assert done.err == ""


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_command_has_help(command: str, empty_home: Path) -> None:
    done = genui(empty_home, command, "--help").ok()
    assert f"genui {command}" in done.out


def test_the_version_is_told(empty_home: Path) -> None:
    assert re.search(r"\d+\.\d+", genui_anew(empty_home, "--version").ok().out)


def test_shipped_models_are_listed(empty_home: Path) -> None:
    rows = {row["name"]: row for row in genui_anew(empty_home, "models", "--json").ok().json}
    for name, (family, medium, step) in SHIPPED.items():
        row = rows[name]
        assert (row["family"], row["medium"], row["step"]) == (family, medium, step)
        assert row["source"] == "shipped"
        assert row["parameters"] > 100_000
        assert row["dataset"]
        assert row["summary"]
        assert Path(row["path"]).is_file()
        assert {"name", "summary", "quality", "trained", "data", "licence"} <= set(row["card"])


def test_listings_for_people_name_the_same(empty_home: Path) -> None:
    models = genui(empty_home, "models").ok().out
    assert [name for name in SHIPPED if name not in models] == []
    recipes = genui(empty_home, "recipes").ok().out
    assert [name for name in RECIPES if name not in recipes] == []


def test_recipes_are_listed(empty_home: Path) -> None:
    rows = {row["name"]: row for row in genui_anew(empty_home, "recipes", "--json").ok().json}
    for name, (family, medium) in RECIPES.items():
        row = rows[name]
        assert (row["family"], row["medium"]) == (family, medium)
        assert {"dataset", "summary", "steps", "seed", "learning_rate"} <= set(row)
        assert row["steps"] > 0


def test_the_settings_of_one_recipe(empty_home: Path) -> None:
    shown = genui(empty_home, "recipes", "icons").ok().out
    for word in ("learning_rate", "steps", "layers", "width", "heads", "0.0015", "1500"):
        assert word in shown


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("icons", ("diffusion", "image", "4.7M", "330", "Apache-2.0", "MIT", "learning_rate")),
        ("shakespeare", ("transformer", "text", "4.8M", "2400", "learning_rate")),
        ("fashion-gan", ("gan", "image", "2.1M", "latent")),
        ("voice-digits", ("classifier", "audio", "99.7")),
    ],
)
def test_a_card_is_shown(model: str, words: tuple[str, ...], empty_home: Path) -> None:
    shown = genui(empty_home, "show", model).ok().out.replace(",", "")
    assert [word for word in words if word.replace(",", "") not in shown] == []


def test_a_new_home_has_no_runs_and_no_traces(empty_home: Path) -> None:
    assert genui_anew(empty_home, "runs", "--json").ok().json == []
    assert genui_anew(empty_home, "traces", "--json").ok().json == []


def test_the_doctor_tells_what_it_found(home: Path) -> None:
    facts = genui(home, "doctor", "--json").ok().json
    assert {"genui", "python", "torch", "textual", "device", "processor", "threads"} <= set(facts)
    assert "icons" in facts["shipped models"]


def test_a_step_as_json(home: Path) -> None:
    """Of a token its candidates, a line a step, and nothing else on stdout."""
    argv = ["generate", "shakespeare", "--prompt", "ROMEO:", "--tokens", "3", "--seed", "3"]
    rows = [json.loads(line) for line in genui(home, *argv, "--every-step").ok().out.splitlines()]
    assert [row["step"] for row in rows][-3:] == [1, 2, 3]


def test_a_sample_on_stdout(home: Path) -> None:
    """Without a seed one is drawn, and told beside it."""
    done = genui(home, "generate", "shakespeare", "--prompt", "ROMEO:", "--tokens", "4").ok()
    assert done.out.startswith("ROMEO:")
    assert re.search(r"--seed \d+", done.err)


# --- what is wrong: one line, that names it, and an exit code ------------------------------

FAILED, MISUSED = 1, 2


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are not what their names say."""
    folder = tmp_path_factory.mktemp("bad")
    files, home = OLD / "files", OLD / "home" / "data"
    for name, source, size in (
        ("cut.png", files / "heart.png", 600),
        ("cut.gif", files / "walk.gif", 300),
        ("cut.wav", files / "word.wav", 100),
        ("cut.mid", files / "tune.mid", 100),
        ("cut.cast", files / "play.cast", 100),
        ("cut.trace", next(home.glob("traces/icons/*.trace")), 500),
        ("cut.safetensors", next(home.glob("runs/text-*/checkpoints/*6.safetensors")), 1000),
        ("png.txt", files / "heart.png", None),
    ):
        (folder / name).write_bytes(source.read_bytes()[:size])
    (folder / "empty.png").touch()
    (folder / "plain.txt").write_text("hello\n")
    (folder / "odd.xyz").write_text("{}")
    (folder / "folder.png").mkdir()
    play = (files / "play.txt").read_text()
    assert '"seed":3' in play
    (folder / "edited.txt").write_text(play.replace('"seed":3', '"seed":4'))
    newer = play.replace('"format":1', '"format":999')
    (folder / "newer.txt").write_text(newer)
    return folder


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        ("show none.png", MISUSED, "none.png"),
        ("replay none.png", FAILED, "none.png"),
        ("show empty.png", FAILED, "empty.png"),
        ("replay empty.png", FAILED, "empty.png"),
        ("replay cut.png", FAILED, "cut.png"),
        ("replay cut.gif", FAILED, "cut.gif"),
        ("replay cut.wav", FAILED, "cut.wav"),
        *([("replay cut.mid", FAILED, "cut.mid")] if has(MUSIC) else []),
        ("replay cut.cast", FAILED, "cut.cast"),
        ("replay cut.trace", FAILED, "cut.trace"),
        ("replay png.txt", FAILED, "png.txt"),
        ("replay plain.txt", FAILED, "plain.txt"),
        ("replay edited.txt", FAILED, "edited.txt"),
        ("replay newer.txt", FAILED, "newer.txt"),
        ("replay folder.png", FAILED, "folder.png"),
        ("replay odd.xyz", MISUSED, "odd.xyz"),
        ("show cut.safetensors", MISUSED, "cut.safetensors"),
        ("inspect plain.txt", MISUSED, "plain.txt"),
        ("inspect nosuch", MISUSED, "nosuch"),
        ("export nosuch --csv", MISUSED, "nosuch"),
        ("resume nosuch", MISUSED, "nosuch"),
        ("watch nosuch", MISUSED, "nosuch"),
        ("generate nosuch", MISUSED, "nosuch"),
        ("generate prose", MISUSED, "genui train prose"),
        ("generate icons --sampler nosuch", MISUSED, "nosuch"),
        ("generate icons --steps 0", MISUSED, "--steps"),
        ("generate icons --out made.xyz", MISUSED, "made.xyz"),
        ("train nosuch", MISUSED, "nosuch"),
        ("train icons --set width=x", MISUSED, "width"),
        ("train icons --set wdth=3", MISUSED, "wdth"),
        ("train shakespeare --data none.txt", MISUSED, "none.txt"),
        ("sheet none.png --out sheet.png", FAILED, "none.png"),
        ("nosuch", MISUSED, "nosuch"),
        ("--nosuch", MISUSED, "--nosuch"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    words: str, code: int, named: str, bad: Path, home: Path
) -> None:
    done = genui(home, *words.split(), cwd=bad)
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) == 1, done.err
    assert named in done.err
    assert done.out == ""
    assert done.code == code, done.err


def test_a_missing_file_is_told_after_the_seed(bad: Path, home: Path) -> None:
    for kind, words, named in (
        (LAB, "lab none.csv --steps 2 --seed 1", "none.csv"),
        (("diffusion", "image"), "generate icons --seed 1 --init plain.txt", "plain.txt"),
        (MUSIC, "generate chorales --seed 1 --melody cut.mid", "cut.mid"),
    ):
        if not has(kind):
            continue
        done = genui(home, *words.split(), cwd=bad)
        assert done.code in (FAILED, MISUSED)
        assert len(done.err.splitlines()) == 1, done.err
        assert named in done.err
