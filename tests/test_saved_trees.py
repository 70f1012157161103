"""Saved traces: written, read back and listed."""

from pathlib import Path

import msgspec
import pytest
from saved_samples import MACHINE, START, STARTED

from genui.base import paths
from genui.base.errors import GenuiError
from genui.formats import codec, recipe, trees
from genui.formats.recipe import ExportView
from genui.formats.trees import Branch, SavedTree
from genui.protocol import SetSeed, WriteText


def tree(**changes: object) -> SavedTree:
    branches = (
        Branch(id=0, total=20),
        Branch(id=1, parent=0, step=5, edit=SetSeed(1), total=20, label="seed 1"),
        Branch(id=4, parent=1, step=9, edit=SetSeed(2)),
        Branch(id=5, parent=1, step=3, edit=WriteText("x")),
    )
    start = msgspec.structs.replace(START, edits=())
    fields = {
        "name": "hearts",
        "recipe": recipe.recipe_of(start, STARTED, MACHINE, view=ExportView(kind="tree")),
        "branches": branches,
        "current": 4,
        "playhead": 12,
    }
    return SavedTree(**(fields | changes))  # type: ignore[arg-type]


def test_a_tree_comes_back_as_it_was_saved() -> None:
    path = trees.save_tree(tree(created=5.0))
    found = trees.load_tree(path)
    assert (found.branches, found.current, found.playhead) == (tree().branches, 4, 12)
    assert (found.name, found.created) == ("hearts", 5.0)
    assert found.recipe.fingerprint == STARTED.fingerprint
    assert found.recipe.machine == MACHINE
    assert codec.read(path).content == found


def test_a_branch_has_the_edits_that_led_to_it_and_no_others() -> None:
    def edits(branch: int) -> list[tuple[int, object]]:
        return [(at.step, at.edit) for at in trees.branch_start(tree(), branch).edits]

    assert edits(0) == []
    assert edits(4) == [(5, SetSeed(1)), (9, SetSeed(2))]
    assert edits(5) == [(3, WriteText("x"))]  # forked before its parent did


def test_traces_are_kept_beside_their_model(tmp_path: Path) -> None:
    run = paths.runs_dir() / "mine-20260101-000000-abcd"
    run.mkdir(parents=True)
    assert trees.traces_dir(run.name) == run / "traces"
    assert trees.traces_dir(f"{run.name}@120") == run / "traces"
    beside = paths.data_dir() / "traces"
    assert trees.traces_dir("icons") == beside / "icons"
    assert trees.traces_dir(str(tmp_path / "my model.safetensors")) == beside / "my-model"
    assert trees.traces_dir("../..").parent == beside  # never above it


def test_saved_traces_are_listed_newest_first_and_broken_ones_say_so() -> None:
    old = trees.save_tree(tree(created=100.0))
    new = trees.save_tree(tree(created=200.0, name="new/../er"))
    same = trees.save_tree(tree(created=200.0, name="new/../er"))
    broken = old.with_name("broken.trace")
    broken.write_bytes(b"{")
    listed = trees.list_trees()
    assert [entry.path for entry in listed] == [broken, *sorted((new, same)), old]
    assert listed[0].tree is None
    assert str(broken) in listed[0].fault
    assert listed[-1].tree is not None


def test_no_saved_trace_is_an_empty_list() -> None:
    assert trees.list_trees() == []


@pytest.mark.parametrize(
    "branches",
    [
        (Branch(id=0), Branch(id=0, parent=0, edit=SetSeed(1))),
        (Branch(id=0), Branch(id=1, parent=2, edit=SetSeed(1))),
        (Branch(id=0), Branch(id=1, parent=1, edit=SetSeed(1))),
        (Branch(id=0), Branch(id=1, parent=0)),
        (Branch(id=0, parent=0, edit=SetSeed(1)),),
    ],
)
def test_branches_that_are_no_tree_are_refused(branches: tuple, tmp_path: Path) -> None:
    path = trees.save_tree(tree(branches=branches, current=0), tmp_path / "x.trace")
    with pytest.raises(GenuiError, match="its branches do not fit together"):
        trees.load_tree(path)


def test_a_current_branch_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = trees.save_tree(tree(current=77), tmp_path / "x.trace")
    with pytest.raises(GenuiError, match="its branches do not fit together"):
        trees.load_tree(path)


def test_a_trace_edited_by_hand_is_told(tmp_path: Path) -> None:
    path = trees.save_tree(tree(), tmp_path / "x.trace")
    path.write_text(path.read_text().replace('"playhead": 12', '"playhead": 13'))
    with pytest.raises(GenuiError, match="edited by hand"):
        trees.load_tree(path)
