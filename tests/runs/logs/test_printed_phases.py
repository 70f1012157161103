"""Which lines are of held-out data, and the epochs and ranks of a log."""

import pytest

from genui.logs.printed_epochs import Epochs
from genui.logs.printed_line import Line, read_any
from genui.logs.printed_phases import Phases
from genui.logs.printed_places import Places
from genui.logs.printed_ranks import Across, Ranks
from genui.logs.printed_result import Notes


def read(text: str) -> Line:
    line = read_any(text)
    assert line is not None
    return line


def test_a_line_below_words_about_an_evaluation_is_of_held_out_data() -> None:
    phases = Phases()
    phases.learn(read("step 1 loss 0.5 lr 0.1"))
    phases.read_words("Evaluating the model")
    assert phases.rename(read("loss 0.4"), "", None, finer=True) == {"val/loss": 0.4}
    known = read("loss 0.4 lr 0.1")
    assert phases.rename(known, "", None, finer=True) == known.metrics


def test_a_part_of_a_record_with_other_values_has_a_name_of_its_own_at_that_step() -> None:
    phases = Phases()
    for phase in ("train", "val"):
        phases.see(phase)
    line = read("train: loss 0.4")
    values = {"loss": 0.5, "lr": 0.1}
    assert phases.rename(line, "", values, finer=True) == {"train/loss": 0.4}
    assert phases.rename(line, "", None, finer=True) == {"loss": 0.4}


def test_a_learning_rate_alone_is_a_setting_before_the_first_record() -> None:
    phases = Phases()
    assert phases.is_config(read("lr: 0.1"))
    assert not phases.is_config(read("lr: 0.1, loss: 0.5"))
    phases.learn(read("loss: 0.5"))
    assert not phases.is_config(read("lr: 0.1"))


def test_what_a_bar_shows_again_is_dropped() -> None:
    phases = Phases()
    drawn = " 50%|████| 5/10 [00:01<00:01, 9.00it/s, loss={}, val_loss=0.3]"
    first, again = read(drawn.format(0.5)), read(drawn.format(0.4))
    for line in (first, again):
        phases.drop_unchanged(line)
    assert first.metrics.keys() >= {"loss", "val_loss"}
    assert "val_loss" not in again.metrics
    assert again.metrics["loss"] == 0.4


def test_a_log_that_begins_in_a_later_epoch_counts_from_there() -> None:
    epochs = Epochs(Notes())
    epochs.read_settings("num_train_epochs = 5")
    line = read("Epoch 3/5 loss 0.5")
    assert epochs.first_counter(line, 100).at(1, 100, 3, Notes()) == 201


def test_a_late_evaluation_stays_at_its_epoch() -> None:
    notes = Notes()
    epochs, places = Epochs(notes), Places(notes)
    steps = []
    for text in ("epoch 1 loss 0.5", "epoch 2 loss 0.4", "epoch 1 val_loss 0.6"):
        line = read(text)
        steps.append(epochs.find_step(line, places))
        places.settle(line, steps[-1], line.metrics, says_steps=False)
    assert (steps, notes.texts) == ([1, 2, 1], [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[rank3]: loss 0.5", (3, "loss 0.5")),
        ("[default1]:loss 0.5", (1, "loss 0.5")),
        ("[1,2]<stdout>: loss 0.5", (2, "loss 0.5")),
        ("worker 4 | loss 0.5", (4, "loss 0.5")),
        ("(Trainer rank=5, ip=1.2.3.4) loss 0.5", (5, "loss 0.5")),
        ("\x1b[36m[rank1]: \x1b[0mloss 0.5", (1, "\x1b[0mloss 0.5")),
        ("10: loss 0.5", (0, "10: loss 0.5")),
        ("3: step 7 loss 0.5", (3, "step 7 loss 0.5")),
        ("loss 0.5", (0, "loss 0.5")),
        ("", (0, "")),
    ],
)
def test_the_rank_is_in_the_prefix_of_a_line(text: str, found: tuple[int, str]) -> None:
    assert Ranks().split(text, ()) == found


def test_hosts_and_processes_are_numbered_as_they_come() -> None:
    ranks = Ranks()
    prefixes = ("(Worker pid=77)", "(Worker pid=12)", "node-b7:", "(Worker pid=77)")
    assert [ranks.split(f"{prefix} x", ())[0] for prefix in prefixes] == [0, 1, 2, 0]


def test_a_number_before_lines_that_is_repeated_is_a_label() -> None:
    ranks = Ranks()
    assert [ranks.split("2: hello", ())[0] for _ in range(3)] == [0, 2, 2]


def test_ranks_are_compared_once_all_of_them_printed_a_step() -> None:
    across = Across()
    assert across.add(0, 5, {"loss": 2.0, "step_time": 0.1}, 2) == {}
    assert across.add(1, 5, {"loss": 2.5, "step_time": 0.3}, 2) == pytest.approx(
        {"ranks/spread loss": 0.5, "ranks/spread step_time": 0.2, "ranks/slowest": 1.0}
    )
