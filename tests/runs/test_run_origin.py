"""Which weights a training starts from, and what is refused before anything is written."""

from dataclasses import asdict
from pathlib import Path

import pytest
from run_makers import a_run, add_checkpoint, checkpoint_bytes

from genui.base import paths
from genui.base.errors import GenuiError, MisuseError
from genui.recipes import find_recipe, override
from genui.runs import launch, models
from genui.runs.layout import RunDir, read_info


def trained(recipe: str = "shakespeare", **settings: str) -> RunDir:
    """A run with a checkpoint of that recipe at step 40, and its training state."""
    run = a_run("source")
    made = asdict(override(find_recipe(recipe), settings))
    add_checkpoint(run, 40, checkpoint_bytes(40, recipe=made))
    return run


def test_a_run_is_found_at_its_newest_checkpoint_or_at_the_step_asked_for():
    run = trained()
    add_checkpoint(run, 80)
    newest, older = models.find_origin("source"), models.find_origin(f"{run.id}@40")
    assert (newest.step, newest.run, newest.weights) == (80, run.id, run.checkpoint(80))
    assert (older.step, older.state) == (40, run.checkpoint_state(40))
    assert older.describe() == f"run {run.id} at step 40"


def test_a_file_of_weights_has_no_run_and_no_state(tmp_path: Path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(checkpoint_bytes(7))
    found = models.find_origin(str(path))
    assert (found.run, found.state, found.step) == ("", None, 7)
    assert found.describe() == f"model {path}"


@pytest.mark.parametrize(
    ("made", "settings", "fault"),
    [
        ({}, {"width": "128"}, "width=128 does not fit.*give --set width=256"),
        (
            {"width": "64", "layers": "2"},
            {},
            "layers=6, width=256 does not fit.*give --set layers=2 --set width=64",
        ),
        ({}, {"heads": "8"}, "heads=8 does not fit"),
        ({}, {"tokenizer": "bytes"}, "tokenizer=bytes does not fit.*--set tokenizer=chars"),
        (
            {"tokenizer": "bpe", "vocab_size": "512"},
            {"tokenizer": "bpe", "vocab_size": "1024"},
            "vocab_size=1024 does not fit",
        ),
        ({}, {"widht": "64"}, "did you mean 'width'"),
    ],
)
def test_settings_the_weights_are_not_made_for_are_named_before_anything_is_written(
    made: dict[str, str], settings: dict[str, str], fault: str
):
    run = trained(**made)
    with pytest.raises(MisuseError, match=fault) as caught:
        launch.create(find_recipe("shakespeare"), settings, "next", run.id)
    assert "\n" not in str(caught.value)
    assert [path.name for path in paths.runs_dir().iterdir()] == [run.id]


def test_what_the_weights_do_not_depend_on_may_change():
    run = trained(tokenizer="chars", vocab_size="512")
    settings = {"context": "64", "dropout": "0.3", "batch": "2", "muon_rate": "0", "seed": "9"}
    made = launch.create(find_recipe("shakespeare"), settings, "next", run.id)
    assert read_info(made).start_from["step"] == 40


def test_images_with_and_without_a_canvas_are_two_networks():
    run = trained("icons")
    launch.create(find_recipe("icons"), {"canvas_batch": "8"}, "next", run.id)
    with pytest.raises(MisuseError, match="canvas_batch=0 does not fit"):
        launch.create(find_recipe("icons"), {"canvas_batch": "0"}, "next", run.id)


def test_another_family_is_refused():
    run = trained()
    with pytest.raises(
        MisuseError, match="of the family transformer and recipe icons of diffusion"
    ):
        launch.create(find_recipe("icons"), {}, "next", run.id)


@pytest.mark.parametrize(
    ("ref", "fault"),
    [
        ("sorce", "no model 'sorce'.*did you mean 'source'"),
        ("source@41", "has no checkpoint at step '41': it has 40"),
        ("/no/such.safetensors", "no model file"),
    ],
)
def test_a_model_that_is_not_there_is_named(ref: str, fault: str):
    trained()
    with pytest.raises(MisuseError, match=fault):
        launch.create(find_recipe("shakespeare"), {}, "next", ref)
    assert len(list(paths.runs_dir().iterdir())) == 1


def test_a_truncated_checkpoint_is_refused():
    run = trained()
    whole = run.checkpoint(40).read_bytes()
    run.checkpoint(40).write_bytes(whole[:-3])
    with pytest.raises(MisuseError, match="truncated"):
        launch.create(find_recipe("shakespeare"), {}, "next", f"{run.id}@40")


def test_where_there_are_no_links_the_weights_are_copied(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    run = trained()
    made = launch.create(find_recipe("shakespeare"), {}, "next", run.id)
    weights, state = models.start_files(made)
    assert weights.read_bytes() == run.checkpoint(40).read_bytes()
    assert weights.stat().st_ino != run.checkpoint(40).stat().st_ino
    assert state.exists()


def test_a_full_disk_leaves_no_run_without_its_weights(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", refuse)
    monkeypatch.setattr("shutil.copyfile", refuse)
    run = trained()
    with pytest.raises(GenuiError, match=r"cannot write .*start\.safetensors: no space left"):
        launch.create(find_recipe("shakespeare"), {}, "next", run.id)
    assert [path.name for path in paths.runs_dir().iterdir()] == [run.id]
