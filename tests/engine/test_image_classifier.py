"""Classifiers of images: what they are trained on, how, and as an instrument."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from shares import assert_shares_add_up
from shown import show_step

from genui.base.errors import MisuseError
from genui.engine.data.image_datasets import load_labelled_images
from genui.engine.data.things import kind_of_thing
from genui.engine.device import Machine
from genui.engine.kinds import Checkpoint, build_generator, build_task, check_data
from genui.engine.metrics.classifiers import ImageClassifier, pool
from genui.engine.models.classifiers import contrast_with_border
from genui.engine.train.batches import augment
from genui.engine.train.classifier import ImageClassifierTask, confusions
from genui.recipes import Recipe, find_recipe, override
from genui.recipes.classifier import ImageClassifierRecipe

MACHINE = Machine("cpu", "fp32", 1)
DEVICE = torch.device("cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Bright images named "day" and dark ones named "night", 30 of each."""
    made = tmp_path / "images"
    made.mkdir()
    rng = np.random.default_rng(0)
    for name, level in (("day", 200), ("night", 40)):
        for i in range(30):
            pixels = np.clip(level + rng.normal(0, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(made / f"{name}_{i:02}.png")
    return made


def recipe_for(folder: Path, **settings: str) -> ImageClassifierRecipe:
    small = {"data": str(folder), "width": "8", "batch": "16", "steps": "20", "warmup": "1"}
    recipe = override(find_recipe("fashion-labels"), small | settings)
    assert isinstance(recipe, ImageClassifierRecipe)
    return recipe


def test_the_captions_of_a_folder_are_its_labels_and_some_of_each_are_held_out(
    folder: Path,
) -> None:
    data = load_labelled_images("fashion", str(folder))
    assert data.labels == ("day", "night")
    assert len(data.held_out) == 10
    assert set(data.targets[data.held_out]) == {0, 1}
    assert not set(data.train) & set(data.held_out)
    assert check_data(recipe_for(folder)).endswith("50 images to train on, 10 held out")


def test_a_folder_with_broken_files_says_how_many_are_used(folder: Path) -> None:
    for path in sorted(folder.glob("*.png"))[::2]:
        path.write_bytes(b"no image")
    line = check_data(recipe_for(folder))
    assert "26 images to train on, 4 held out" in line
    assert "left out: " in line
    assert "more like it" in line


def test_labels_with_one_class_are_refused(folder: Path) -> None:
    for path in folder.glob("night*"):
        path.unlink()
    with pytest.raises(MisuseError, match="every image is 'day'") as fault:
        load_labelled_images("fashion", str(folder))
    assert "\n" not in str(fault.value)


def test_captions_that_never_repeat_are_no_labels(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{name}.png")
    with pytest.raises(MisuseError, match="several images of each label"):
        load_labelled_images("icons", str(tmp_path))


@pytest.mark.parametrize(
    ("caption", "kind"),
    [
        ("cat face", "animal"),
        ("crying face", "face"),
        ("red heart", "heart"),
        ("letter a", "letter or digit"),
        ("electric car", "vehicle"),
        ("abacus", ""),
    ],
)
def test_the_words_of_a_name_tell_its_kind(caption: str, kind: str) -> None:
    assert kind_of_thing(caption) == kind


def test_icons_are_labelled_by_their_words_and_the_rest_is_left_out() -> None:
    data = load_labelled_images("icons")
    assert {"vehicle", "animal", "food"} <= set(data.labels)
    used = np.concatenate((data.train, data.held_out))
    assert len(np.unique(used)) == len(used) < len(data.images)
    assert (data.targets[used] >= 0).all()


def trained(recipe: Recipe) -> ImageClassifierTask:
    task = build_task(recipe, DEVICE, None)
    assert isinstance(task, ImageClassifierTask)
    optimizer = torch.optim.AdamW(task.model.parameters(), 2e-3)
    for step in range(recipe.steps):
        optimizer.zero_grad()
        task.loss(step).backward()
        optimizer.step()
    return task


def test_it_learns_what_can_be_learned(folder: Path) -> None:
    task = trained(recipe_for(folder))
    found = task.evaluate(task.model, MACHINE, whole=True)
    assert found["val_accuracy"] == 1
    assert found["val_loss"] < 0.5
    (sample,) = task.sample(task.model, MACHINE)
    assert sample.suffix == ".txt"
    assert sample.content.decode().splitlines()[0] == "day    100% right"


def test_every_image_is_seen_once_an_epoch_and_in_another_order_in_the_next(
    folder: Path,
) -> None:
    task = build_task(recipe_for(folder, batch="10"), DEVICE, None)
    assert isinstance(task, ImageClassifierTask)
    one, other = (
        [example.source for step in range(first, first + 5) for example in task.examples(step)]
        for first in (0, 5)
    )
    assert len(set(one)) == 50
    assert sorted(one) == sorted(other)
    assert one != other


def test_the_images_of_a_step_are_shown_with_their_labels(folder: Path) -> None:
    for example in show_step(ImageClassifierTask(recipe_for(folder), DEVICE)):
        with Image.open(io.BytesIO(example.image)) as image:
            assert (example.text == "day") == (np.asarray(image).mean() > 120)


def test_the_loss_of_a_step_is_drawn_from_its_number_alone(folder: Path) -> None:
    one, other = (ImageClassifierTask(recipe_for(folder), DEVICE) for _ in range(2))
    other.loss(3)
    assert float(one.loss(7).detach()) == float(other.loss(7).detach())
    assert_shares_add_up(one)


def test_weights_of_other_labels_are_refused(folder: Path) -> None:
    with pytest.raises(MisuseError, match="2 labels are not the 3"):
        build_task(recipe_for(folder), DEVICE, {"labels": ["a", "b", "c"]})


def described(task: ImageClassifierTask) -> dict[str, Any]:
    return {"labels": task.extra["labels"]}


def test_a_judge_says_how_sure_it_is_and_gives_its_features(folder: Path) -> None:
    recipe = recipe_for(folder)
    task = trained(recipe)
    classifier = ImageClassifier.of(recipe, dict(task.model.state_dict()), described(task))
    rgb = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (210, 30)])
    p = classifier.probabilities(rgb)
    assert classifier.labels == ("day", "night")
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(p.argmax(1), [0, 1])
    features = classifier.features(rgb)
    assert features.shape == (2, 4 * recipe.width)
    assert features.min() >= 0
    with pytest.raises(ValueError, match="uint8"):
        classifier.features(rgb[0])


def test_a_judge_of_many_images_is_that_of_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_for(folder, steps="1")
    task = trained(recipe)
    classifier = ImageClassifier.of(recipe, dict(task.model.state_dict()), described(task))
    rgb = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3)).astype(np.uint8)
    whole = classifier.features(rgb)
    monkeypatch.setattr("genui.engine.metrics.classifiers.ImageClassifier.batch_size", 3)
    np.testing.assert_allclose(classifier.features(rgb), whole, atol=1e-5)


def test_what_is_no_classifier_of_images_is_refused() -> None:
    with pytest.raises(MisuseError, match="no classifier of images"):
        ImageClassifier.load("icons")


def test_a_classifier_generates_nothing() -> None:
    with pytest.raises(MisuseError, match="labels and cannot generate"):
        build_generator(Checkpoint(find_recipe("fashion-labels"), {}, {}), MACHINE)


def test_pooling_averages_two_by_two_and_drops_what_grey_says_thrice() -> None:
    rgb = np.zeros((1, 32, 32, 3), np.uint8)
    rgb[0, 0, 0] = 255
    assert pool(rgb).shape == (1, 256)
    assert pool(rgb)[0, 0] == pytest.approx(0.25)
    rgb[0, 0, 0, 1] = 0
    assert pool(rgb).shape == (1, 768)


def test_what_stands_out_is_the_shape_whatever_its_colours() -> None:
    shape = torch.zeros(32, 32)
    shape[8:20, 10:16] = 1
    images = []
    for figure, ground in (((1, -1, -1), (-1, -1, 1)), ((0.2, 0.5, 0), (0.9, 0.9, 0.9))):
        colours = torch.tensor((ground, figure), dtype=torch.float32)
        images.append(colours[shape.long()].permute(2, 0, 1))
    found = contrast_with_border(torch.stack(images))
    for each in found:
        torch.testing.assert_close(each[0], 2 * shape - 1)
    plain = contrast_with_border(torch.full((1, 3, 32, 32), 0.3))
    torch.testing.assert_close(plain, torch.full_like(plain, -1), atol=1e-3, rtol=0)


def image_at(row: int, column: int) -> torch.Tensor:
    x = torch.full((1, 1, 32, 32), -1.0)
    x[0, 0, row, column] = 1
    return x


def test_augmenting_moves_mirrors_and_keeps_the_border() -> None:
    x = image_at(10, 5).expand(64, 1, 32, 32)
    moved = augment(x, np.random.default_rng(0), shift=3, zoom=0, flip=True)
    assert moved.shape == x.shape
    places = [divmod(int(each.flatten().argmax()), 32) for each in moved]
    assert all(abs(row - 10) <= 4 for row, _ in places)
    sides = [column < 16 for _, column in places]
    assert 10 < sum(sides) < 54
    assert all(
        abs(column - (5 if left else 26)) <= 4
        for (_, column), left in zip(places, sides, strict=True)
    )
    assert (moved[:, :, 0] == -1).all()


def test_augmenting_by_nothing_changes_nothing() -> None:
    x = image_at(3, 4)
    assert augment(x, np.random.default_rng(0), 0, 0, False) is x
    same = augment(x, np.random.default_rng(0), 1e-9, 0, False)
    torch.testing.assert_close(same, x, atol=1e-4, rtol=0)


def test_confusions_say_what_is_taken_for_what() -> None:
    found: NDArray[np.int64] = np.array([0, 0, 1, 1])
    lines = confusions(("cat", "dog", "cow"), found, np.array([0, 0, 0, 1])).splitlines()
    assert lines == ["cat   67% right,  33% taken for dog", "dog  100% right"]
