"""What holds for every dataset of images that needs no download: a new row is tested as it is."""

import numpy as np
import pytest

from genui.base.errors import GenuiError
from genui.engine.data import fashion
from genui.engine.data.dataset import Dataset
from genui.engine.data.image_datasets import IMAGE_DATASETS, load_images
from genui.engine.data.preparation import PreparationStoppedError, Report
from genui.engine.sample.diffusion import Prompts


@pytest.mark.parametrize("name", IMAGE_DATASETS)
def test_a_dataset_has_images_to_train_on_and_others_that_are_held_out(name: str) -> None:
    try:
        missing = IMAGE_DATASETS[name].missing_bytes()
    except GenuiError as error:
        pytest.skip(str(error))
    if missing:
        pytest.skip(f"{name} is not downloaded")
    images = load_images(name, side=IMAGE_DATASETS[name].side)
    assert len(images.train), "nothing is left to train on"
    assert len(images.held_out), "nothing is held out: give its row another `hold_out`"
    assert not np.intersect1d(images.train, images.held_out).size
    for caption in images.captions:
        assert caption == " ".join(caption.lower().split()), "lower case, one space between words"


def test_prompts_like_those_in_training_download_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Fashion-MNIST on this machine, a sample has one of the model's own prompts."""
    asked: list[object] = []
    row = IMAGE_DATASETS["fashion"]
    monkeypatch.setattr(fashion, "FOLDERS", ())
    monkeypatch.setattr(type(row), "missing_bytes", lambda row: asked.append(row) or 1)
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: asked.append(args))
    prompts = Prompts("fashion", seed=1)
    assert "usual prompt" in prompts.source
    assert prompts.at(0)
    assert not asked


def test_a_stop_in_a_download_is_no_fault_of_the_data() -> None:
    def stop(report: Report) -> None:
        raise PreparationStoppedError

    row = Dataset(name="own", summary="", licence="", load=lambda: 0, download=stop)
    with pytest.raises(PreparationStoppedError):
        row.read()
