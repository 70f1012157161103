"""Classifiers of text: their data, their training, and what they say of a step of a trace."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from shares import assert_shares_add_up
from shown import show_step

from genui.base.errors import MisuseError
from genui.engine.data.text import HELD_OUT, load_labelled_text, speeches
from genui.engine.data.tokenizer import bag
from genui.engine.device import Machine
from genui.engine.metrics import classifiers
from genui.engine.metrics.classifiers import (
    TextClassifier,
    labels,
    last_passage,
    last_speech,
    logistic_regression,
    measure_text_classifier,
)
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import Trace
from genui.engine.train.checkpoint import model_metadata, write_tensors
from genui.engine.train.classifier import TextClassifierTask, bags_of
from genui.protocol import ImageSettings, Start, TextSettings
from genui.recipes import find_recipe, override
from genui.recipes.classifier import TextClassifierRecipe
from genui.runs.models import find_model

CPU = torch.device("cpu")
COLOURS = ("the sky is blue and the sea is blue", "a blue bird in a blue tree", "blue, all blue")
SOUNDS = ("a drum is loud and so is a horn", "loud bells ring", "how loud the loud band is")


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    """Two labels of forty texts each that one word tells apart."""
    path = tmp_path / "said.jsonl"
    lines = [
        json.dumps({"text": f"{texts[n % 3]} {n}", "label": label})
        for label, texts in (("colour", COLOURS), ("sound", SOUNDS))
        for n in range(40)
    ]
    path.write_text("\n".join(lines))
    return path


def test_labels_that_are_alike_when_they_are_shortened_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "papers.jsonl"
    long = "computer science, artificial intelligence and"
    rows = [{"text": f"a {n}", "label": f"{long} {('robots', 'vision')[n % 2]}"} for n in range(20)]
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(MisuseError, match="two labels begin alike"):
        load_labelled_text("speakers", str(path))


def recipe(data: Path, **settings: object) -> TextClassifierRecipe:
    text = {"data": data, "buckets": 512, "width": 8, "batch": 16} | settings
    built = override(find_recipe("speakers"), {key: str(value) for key, value in text.items()})
    assert isinstance(built, TextClassifierRecipe)
    return built


@pytest.fixture
def classifier(jsonl: Path, tmp_path: Path) -> Path:
    """A trained one, as a file."""
    asked = recipe(jsonl)
    task = TextClassifierTask(asked, CPU)
    optimizer = torch.optim.Adam(task.model.parameters(), lr=0.05)
    for step in range(40):
        optimizer.zero_grad()
        task.loss(step).backward()
        optimizer.step()
    path = tmp_path / "classifier.safetensors"
    described = model_metadata(asked, 40, task.model, task.extra)
    write_tensors(path, dict(task.model.state_dict()), {"genui": json.dumps(described)})
    return path


# --- the data ------------------------------------------------------------------------------


def test_a_play_is_cut_into_speeches() -> None:
    play = "ROMEO:\nBut soft!\nWhat light?\n\nFirst Citizen:\nSpeak.\n\nJULIET:\nAy me.\n"
    assert speeches(play) == [
        ("ROMEO", "But soft!\nWhat light?"),
        ("First Citizen", "Speak."),
        ("JULIET", "Ay me."),
    ]


def test_one_text_in_five_of_each_label_is_held_out(jsonl: Path) -> None:
    data = load_labelled_text("speakers", str(jsonl))
    assert data.labels == ("colour", "sound")
    for label in (0, 1):
        held = [text for text, of in data.validation if of == label]
        assert len(held) == 40 // HELD_OUT
    assert not {text for text, _ in data.train} & {text for text, _ in data.validation}
    assert data.fingerprint == load_labelled_text("speakers", str(jsonl)).fingerprint


def test_a_folder_a_label_is_data_too(tmp_path: Path) -> None:
    for label, texts in (("colour", COLOURS), ("sound", SOUNDS)):
        (tmp_path / "said" / label).mkdir(parents=True)
        for n in range(6):
            (tmp_path / "said" / label / f"{n}.txt").write_text(f"{texts[n % 3]} {n}")
    (tmp_path / "said" / "sound" / "broken.txt").write_bytes(b"\0\1\2")
    data = load_labelled_text("speakers", str(tmp_path / "said"))
    assert data.labels == ("colour", "sound")
    assert data.notes == ("1 of 13 files could not be read",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"text": "a", "label": "x"}\n' * 9, "the only label is 'x'; a classifier needs two"),
        ('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}', "too few texts to hold any"),
        ("no json at all\n", 'no line is an object with "text" and "label"'),
        ('{"text": 3, "label": "x"}\n', 'no line is an object with "text" and "label"'),
        ("", "the file is empty"),
    ],
)
def test_data_that_nothing_can_be_learnt_from_is_one_line(
    tmp_path: Path, content: str, reason: str
) -> None:
    path = tmp_path / "said.jsonl"
    path.write_text(content)
    with pytest.raises(MisuseError, match=reason):
        load_labelled_text("speakers", str(path))


def test_lines_that_say_nothing_are_counted(jsonl: Path) -> None:
    jsonl.write_text(jsonl.read_text() + '\n{"text": "", "label": "sound"}\nnonsense\n')
    data = load_labelled_text("speakers", str(jsonl))
    assert data.notes == ("2 of 82 lines have no text and label",)


def test_a_line_nested_without_end_is_one_that_says_nothing(jsonl: Path) -> None:
    jsonl.write_text(jsonl.read_text() + "\n" + "[" * 100_000 + "\n")
    data = load_labelled_text("speakers", str(jsonl))
    assert any(note.startswith("1 of ") for note in data.notes)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(MisuseError, match="speakers"):
        load_labelled_text("speaker")


def test_any_text_is_a_bag() -> None:
    for text in ("", " ", "a", "☕ \ud800", "def f(x): return x"):
        grams = bag(text, 64)
        assert len(grams) >= 1
        assert grams.min() >= 0
        assert grams.max() < 64
    assert bag("", 64).tolist() == [63]
    assert bag("one two", 1 << 15).tolist() == bag("one two", 1 << 15).tolist()


# --- training ------------------------------------------------------------------------------


def test_it_learns_what_a_word_tells(classifier: Path) -> None:
    trained = TextClassifier.load(str(classifier))
    chances = trained.probabilities(["a blue blue thing", "so loud, loud", ""])
    assert chances.shape == (3, 2)
    assert chances[0, 0] > 0.8
    assert chances[1, 1] > 0.8
    assert chances.sum(axis=1) == pytest.approx(1)
    assert trained.features(["a"]).shape == (1, 8)


def test_a_step_is_the_same_whenever_it_is_taken(jsonl: Path) -> None:
    task = TextClassifierTask(recipe(jsonl, dropout=0), CPU)
    assert task.loss(3).item() == task.loss(3).item() != task.loss(4).item()
    assert_shares_add_up(task)


def test_an_epoch_sees_every_text_once(jsonl: Path) -> None:
    task = TextClassifierTask(recipe(jsonl), CPU)
    seen = {example.source for step in range(4) for example in task.examples(step)}
    assert len(seen) == 64


def test_the_texts_of_a_step_are_shown_with_their_labels(jsonl: Path) -> None:
    texts = {"colour": COLOURS, "sound": SOUNDS}
    for example in show_step(TextClassifierTask(recipe(jsonl), CPU)):
        label, _, text = example.text.partition(": ")
        assert text.startswith(texts[label])


def test_evaluation_and_sample_tell_what_is_right(jsonl: Path) -> None:
    task = TextClassifierTask(recipe(jsonl), CPU)
    found = task.evaluate(task.model.eval(), Machine("cpu", "fp32", 1), whole=True)
    assert set(found) == {"val_loss", "val_accuracy", "val_ece"}
    (sample,) = task.sample(task.model, Machine("cpu", "fp32", 1))
    assert sample.suffix == ".txt"
    assert b"right" in sample.content


def test_other_labels_do_not_fit_the_weights(jsonl: Path) -> None:
    with pytest.raises(MisuseError, match="its 2 labels are not the 3"):
        TextClassifierTask(recipe(jsonl), CPU, {"labels": ["a", "b", "c"]})


def test_logistic_regression_finds_the_word_too(jsonl: Path) -> None:
    data = load_labelled_text("speakers", str(jsonl))
    bags, targets = bags_of(data.train, 512)
    held, wanted = bags_of(data.validation, 512)
    found = logistic_regression(bags, targets, held, 512)
    assert (found.argmax(1) == wanted).mean() > 0.9


def test_it_is_measured_beside_simpler_ones(classifier: Path, jsonl: Path) -> None:
    found = measure_text_classifier(find_model(str(classifier)), recipe(jsonl))
    assert found["held-out accuracy"].endswith("of 16 texts")
    assert "same n-grams" in found["logistic regression"]
    assert found["most frequent label"] == "50.0%"


# --- labels of a step ------------------------------------------------------------------------


def text_trace(generator: TextGenerator, prompt: str = "a loud loud drum") -> Trace:
    start = Start(trace=4, model="m", prompt=prompt, seed=1, settings=TextSettings(tokens=5))
    trace = Trace(generator, start)
    for _ in trace.advance(0, 3):
        pass
    return trace


def test_a_step_of_a_text_gets_labels(text_generator: TextGenerator, classifier: Path) -> None:
    told = labels(text_trace(text_generator), 2, str(classifier))
    assert (told.trace, told.step, told.fault) == (4, 2, "")
    assert told.labels[0][0] == "sound"
    assert sum(share for _, share in told.labels) == pytest.approx(1, abs=1e-5)


def test_a_judge_is_loaded_once(
    text_generator: TextGenerator, classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = text_trace(text_generator)
    labels(trace, 1, str(classifier))
    monkeypatch.setattr("genui.engine.metrics.classifiers.load_weights", None)
    assert labels(trace, 2, str(classifier)).labels


def test_a_classifier_of_texts_says_nothing_of_images(
    image_generator: DiffusionGenerator, classifier: Path
) -> None:
    start = Start(trace=1, model="m", prompt="cat", seed=1, settings=ImageSettings(steps=2))
    told = labels(Trace(image_generator, start), 0, str(classifier))
    assert told.labels == ()
    assert "gives labels to texts, and this is image" in told.fault


def test_a_model_that_generates_gives_no_labels(
    text_generator: TextGenerator, plays: Path, tmp_path: Path
) -> None:
    asked = override(find_recipe("shakespeare"), {"layers": "1", "width": "16", "heads": "2"})
    model = text_generator.model
    assert isinstance(model, torch.nn.Module)
    path = tmp_path / "writer.safetensors"
    described = model_metadata(asked, 1, model, {"dataset": "plays"})
    write_tensors(path, dict(model.state_dict()), {"genui": json.dumps(described)})
    told = labels(text_trace(text_generator), 1, str(path))
    assert "gives no labels: name a classifier" in told.fault


def test_a_classifier_that_is_gone_is_a_line(text_generator: TextGenerator) -> None:
    assert "nowhere" in labels(text_trace(text_generator), 1, "nowhere").fault


def test_a_step_that_is_not_reached_is_refused(
    text_generator: TextGenerator, classifier: Path
) -> None:
    with pytest.raises(MisuseError, match="is at step 3"):
        labels(text_trace(text_generator), 9, str(classifier))


def test_labels_are_clean_and_few(
    text_generator: TextGenerator, monkeypatch: pytest.MonkeyPatch, classifier: Path
) -> None:
    class Many:
        labels = tuple(f"\x1b[31mlabel {n}" for n in range(20))
        excerpt = staticmethod(last_passage)

        def probabilities(self, texts: list[str]) -> np.ndarray:
            return np.full((1, 20), 0.05, np.float32)

    monkeypatch.setattr(classifiers, "_loaded", lambda *_: Many())
    told = labels(text_trace(text_generator), 1, str(classifier))
    assert len(told.labels) == classifiers.MAX_LABELS
    assert "\x1b" not in "".join(name for name, _ in told.labels)


def test_a_speech_is_judged_without_its_speaker() -> None:
    text = "ROMEO:\nBut soft!\n\nJULIET:\nAy me.\nO Romeo"
    assert last_speech(text) == "Ay me.\nO Romeo"
    assert last_speech("no name here") == "no name here"
    assert last_speech("") == ""
    assert last_speech("ROMEO:\n") == "ROMEO:"
