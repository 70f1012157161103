import json
from pathlib import Path

import msgspec
import pytest
from run_makers import a_run, add_checkpoint, checkpoint_bytes

from genui.base.errors import GenuiError, MisuseError
from genui.protocol import kinds
from genui.runs.layout import read_status, write_status
from genui.runs.models import ModelInfo, find_model, group_models, list_models, rate_quality

IMAGE = {"name": "icons", "family": "diffusion", "medium": "image", "dataset": "icons"}


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with one image model and one text model."""
    folder = tmp_path / "weights"
    monkeypatch.setattr(kinds, "weights_folders", lambda: [folder])
    for name, content, card in (
        ("icons", checkpoint_bytes(8000, recipe=IMAGE), {"summary": "icons in colour"}),
        ("plays", checkpoint_bytes(2400), {"quality": {"validation": "1.44 nats/char"}}),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.safetensors").write_bytes(content)
        (folder / name / "card.json").write_text(json.dumps(card))
    return folder


def test_shipped_models_by_medium_then_runs():
    run = a_run("mine")
    add_checkpoint(run, 100)
    add_checkpoint(run, 200)
    a_run("without-a-checkpoint")
    models = list_models()
    assert [(m.ref, m.source) for m in models] == [
        ("plays", "shipped"),
        ("icons", "shipped"),
        (run.id, "run"),
    ]
    assert [m.summary for m in models[:2]] == ["1.44 nats/char", "icons in colour"]
    assert (models[2].name, models[2].step) == ("mine", 200)
    assert [find_model(m.ref) for m in models] == models


def test_a_broken_model_does_not_hide_the_others(weights: Path):
    (weights / "plays" / "model.safetensors").write_bytes(b"torn")
    (weights / "icons" / "card.json").write_text("{")
    run = a_run()
    add_checkpoint(run, 5)
    assert [m.ref for m in list_models()] == [run.id]
    with pytest.raises(MisuseError, match="plays"):
        find_model("plays")
    with pytest.raises(GenuiError, match=r"card\.json is damaged"):
        find_model("icons")


def test_a_run_says_its_measured_loss():
    run = a_run("mine")
    add_checkpoint(run, 100)
    write_status(run, msgspec.structs.replace(read_status(run), val=1.2345))
    assert find_model("mine").summary == "validation loss 1.234"


def test_a_checkpoint_by_its_step():
    run = a_run("mine")
    add_checkpoint(run, 100)
    add_checkpoint(run, 200)
    found = find_model("mine@100")
    assert (found.step, found.path, found.ref) == (100, run.checkpoint(100), "mine@100")
    assert find_model("last@200").step == 200
    for ref in ("mine@150", "mine@", "mine@x\x1b", "mine@-1"):
        with pytest.raises(MisuseError, match="it has 100, 200"):
            find_model(ref)


def test_a_run_with_nothing_whole_says_what_is_wrong():
    run = a_run("mine")
    with pytest.raises(MisuseError, match="no checkpoint yet"):
        find_model("mine")
    add_checkpoint(run, 100, b"torn")
    with pytest.raises(MisuseError, match=r"step-00000100\.safetensors"):
        find_model("mine")


def test_a_path_to_a_file_or_a_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = a_run("mine")
    path = add_checkpoint(run, 100)
    found = find_model(str(path))
    assert (found.source, found.name, found.path) == ("file", path.stem, path)
    assert find_model(str(run.path)).path == path
    monkeypatch.chdir(run.path.parent)
    monkeypatch.setenv("GENUI_HOME", str(tmp_path / "another"))
    assert find_model(run.id).path == path
    assert find_model(found.ref) == found


def test_a_shipped_name_comes_before_a_run_of_that_name():
    add_checkpoint(a_run("plays"), 1)
    assert find_model("plays").source == "shipped"


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("play", "did you mean 'plays'"),
        ("prose", "no model 'prose' yet: genui train prose trains it"),
        ("", "no model"),
        ("\x1b[31m", "no model"),
        ("none/here.safetensors", "no model file"),
        ("absent.safetensors", "no model file"),
        ("a\0/b", "no model file"),
        ("x/" * 5000, "no model file"),
        ("~nobody-at-all/x", "no model file"),
        ("/", "not a run"),
    ],
)
def test_what_is_no_model_is_one_line(ref: str, said: str):
    with pytest.raises(MisuseError, match=said) as caught:
        find_model(ref)
    assert str(caught.value).isprintable()


def test_an_ambiguous_run_is_not_guessed():
    add_checkpoint(a_run("verse-a"), 1)
    add_checkpoint(a_run("verse-b"), 1)
    with pytest.raises(MisuseError, match="could be"):
        find_model("ver")


@pytest.mark.parametrize(
    ("measured", "word"),
    [
        ("98.0% right of 500", "good"),
        ("88% by fashion-labels, which is right of 91% of real ones", "good"),
        ("88% of 200 parse", "fair"),
        ("44.7% of 255 held-out texts", "weak"),
        ("1.139 bits/char, whole validation split", "good"),
        ("1.406 nats/char", "fair"),
        ("2.3 bits/char", "weak"),
        ("0.40 to the test set", ""),
        ("validation loss 1.234", ""),
        ("", ""),
    ],
)
def test_the_first_figure_is_rated_in_a_word(measured: str, word: str):
    assert rate_quality(measured) == word


def test_a_summary_is_not_rated(weights: Path):
    icons, card = find_model("icons"), {"summary": "100% cotton"}
    assert find_model("plays").quality == "fair"
    assert icons.quality == ""
    (weights / "icons" / "card.json").write_text(json.dumps(card))
    assert find_model("icons").summary == "100% cotton"
    assert find_model("icons").quality == ""


def test_models_are_grouped_by_medium_the_best_first_and_classifiers_last():
    def model(name: str, family: str, medium: str, measured: str = "") -> ModelInfo:
        card = {"quality": {"right": measured}} if measured else {}
        return ModelInfo(
            ref=name,
            name=name,
            family=family,
            medium=medium,
            dataset="",
            parameters=1,
            step=1,
            summary=measured,
            path=Path("m"),
            source="shipped",
            card=card,
        )

    groups = group_models(
        [
            model("says", "classifier", "text", "99%"),
            model("plain", "transformer", "text"),
            model("better", "transformer", "text", "1.2 bits/char"),
            model("shakespeare", "transformer", "text", "1.9 bits/char"),
            model("pens", "transformer", "strokes", "0.3 nats a token"),
            model("emoji", "diffusion", "image", "91%"),
            model("icons", "diffusion", "image", "80%"),
        ]
    )
    assert {name: [model.name for model in group] for name, group in groups.items()} == {
        "image": ["icons", "emoji"],
        "text": ["shakespeare", "better", "plain"],
        "strokes": ["pens"],
        "classifiers": ["says"],
    }
    assert list(groups) == ["image", "text", "strokes", "classifiers"]
