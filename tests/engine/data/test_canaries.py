"""Canaries and near duplicates: what is planted in a training text, and what is removed from it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genui.base.errors import MisuseError
from genui.engine.data import near_duplicates, text
from genui.engine.data.canaries import CANDIDATES, EACH, TIMES, make_canaries, plant_canaries
from genui.engine.data.near_duplicates import remove_near_duplicates, similarity
from genui.engine.data.preparation import say_nothing
from genui.engine.data.shards import check_text
from genui.engine.data.text import load_text, load_training_text
from genui.engine.device import choose
from genui.engine.train.language import TextTask
from genui.recipes import TextRecipe, find_recipe, override


def write_prose(count: int, seed: int) -> list[str]:
    """Paragraphs of random words, which share no more than chance gives."""
    letters = np.random.default_rng(seed).integers(0, 26, (count, 40, 5)) + ord("a")
    return [" ".join(bytes(w).decode() for w in one.astype(np.uint8)) for one in letters]


def recipe_of(path: Path, **settings: str) -> TextRecipe:
    small = {"data": str(path), "layers": "1", "width": "16", "heads": "2", "context": "32"}
    recipe = override(find_recipe("shakespeare"), small | settings)
    assert isinstance(recipe, TextRecipe)
    return recipe


@given(st.lists(st.text("ab\n", max_size=60), min_size=1).filter(any), st.integers(1, 99))
def test_every_canary_is_planted_as_often_as_it_should_be(texts: list[str], seed: int) -> None:
    changed, note = plant_canaries(texts, seed)
    canaries = make_canaries(seed)
    counts = [sum(each.count(line) for each in changed) for line in canaries]
    assert counts == [times for times in TIMES for _ in range(EACH)] + [0] * CANDIDATES
    assert plant_canaries(texts, seed) == (changed, note)
    for before, after in zip(texts, changed, strict=True):
        for line in canaries[:-CANDIDATES]:
            after = after.replace(line, "")
        assert after == before


def test_a_near_duplicate_is_removed_and_what_only_sounds_alike_stays() -> None:
    own, held = write_prose(30, 1), write_prose(5, 2)
    edited = [own[3][:-5] + "xyzzy", own[7].upper(), held[2].replace(" ", "  ")]
    kept, note = remove_near_duplicates([*own, *edited], held, 0.7, say_nothing)
    assert kept == tuple(own)
    assert note.startswith("near duplicates: 3 of 33 texts were removed")
    assert edited[0][:20] in note
    single, note = remove_near_duplicates(
        ["\n\n".join([*own, *edited])], ["\n\n".join(held)], 0.7, say_nothing
    )
    assert single == ("\n\n".join(own),)
    assert "3 of 33 paragraphs" in note


def test_as_many_pairs_are_found_as_the_bands_promise() -> None:
    """Against the exact index of every pair: MinHash only saves time."""
    texts = []
    for number, base in enumerate(write_prose(60, 3)):
        words = base.split()
        for at in range(1 + number % 7):
            words[at * 5] = "xyzzy"
        texts += [base, " ".join(words)]
    exact = {
        i
        for i in range(1, len(texts), 2)
        if any(similarity(texts[i], texts[j]) >= 0.7 for j in range(i))
    }
    kept, _ = remove_near_duplicates(texts, [], 0.7, say_nothing)
    removed = {i for i in range(len(texts)) if texts[i] not in kept}
    assert exact == removed


def test_a_recipe_changes_the_training_text_alone_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "prose.txt"
    paragraphs = write_prose(40, 4)
    path.write_text("\n\n".join([*paragraphs[:36], paragraphs[0], *paragraphs[36:]]))
    plain = load_text("", str(path))
    both = load_training_text(recipe_of(path, canaries="5", near_duplicates="0.8"))
    assert both.validation == plain.validation
    assert both.fingerprint != plain.fingerprint
    assert "1 of 37 paragraphs were removed" in both.notes[0]
    assert "64 times" in both.notes[1]
    assert load_training_text(recipe_of(path)) == plain
    task = TextTask(recipe_of(path, canaries="5", eval_batches="1"), torch.device("cpu"))
    assert task.notes == load_training_text(recipe_of(path, canaries="5")).notes
    metrics = task.evaluate(task.model.eval(), choose("cpu", "fp32", 1, 16), whole=False)
    assert {f"exposure/{times}" for times in TIMES} < set(metrics)
    assert all(0 <= metrics[f"exposure/{times}"] <= 9 for times in TIMES)


def test_texts_that_cannot_be_changed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prose.txt"
    path.write_text("\n\n".join(write_prose(40, 5)))
    with monkeypatch.context() as smaller:
        smaller.setattr(text, "MAX_BYTES", 1000)
        with pytest.raises(MisuseError, match="canaries and near_duplicates are for texts that"):
            check_text(recipe_of(path, canaries="1"))
    monkeypatch.setattr(near_duplicates, "MOST", 10)
    with pytest.raises(MisuseError, match="at most 10 texts are compared, and these are 4"):
        load_training_text(recipe_of(path, near_duplicates="0.8"))
