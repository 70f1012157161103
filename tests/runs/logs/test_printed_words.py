"""What is known of a line before it is put together: tokens, words, names, units and dicts."""

import math

import pytest

from genui.logs.printed_dicts import OpenDict, read_dict
from genui.logs.printed_names import read_name
from genui.logs.printed_result import Line
from genui.logs.printed_tokens import (
    clean,
    named_numbers,
    number_of,
    skip_head,
    split_bar,
    split_numbers,
    without_glyphs,
    without_head,
    without_ids,
)
from genui.logs.printed_words import as_held_out, convert_unit, may_interest, traits


def test_lines_that_differ_in_numbers_alone_have_one_template() -> None:
    first, numbers = split_numbers("iter 10: loss 2.31, lr 3e-4")
    second, others = split_numbers("iter 1,240: loss nan, lr .5")
    assert first == second
    assert (numbers, others) == (["10", "2.31", "3e-4"], ["1,240", "nan", ".5"])


@pytest.mark.parametrize(
    ("text", "value"), [("1,240", 1240.0), ("-.5", -0.5), ("inf", math.inf), ("1e999", None)]
)
def test_a_number_is_read_as_printed(text: str, value: float | None) -> None:
    assert number_of(text) == value


def test_bars_and_ids_of_any_length_are_one() -> None:
    assert without_glyphs("5 ━━━━━ 1") == without_glyphs("5 ━━ 1")
    assert without_ids("id 3fa9c01b done") == without_ids("id 77e0beef12 done")


def test_what_is_printed_behind_a_bar_is_a_line_of_its_own() -> None:
    bar = " 50%|████| 5/10 [00:01<00:01, 9.00it/s]"
    assert split_bar(bar + "loss 0.5") == (bar, "loss 0.5")
    assert split_bar(bar) == ("", bar)


def test_escapes_are_no_text() -> None:
    assert clean("\x1b[1mloss\x1b[0m 0.5\x08") == "loss 0.5"


@pytest.mark.parametrize(
    "head",
    [
        "2024-01-05 12:30:45,123 - INFO - ",
        "[2024-01-05 12:30:45] [INFO] ",
        "I0105 12:30:45.123456 139 train.py:42] ",
        "2024-01-05 12:30:45.123 | INFO | train:main:42 - ",
        "INFO:root:",
        "[logging.py:96:log_dist] ",
    ],
)
def test_what_a_logger_writes_before_a_line_is_skipped(head: str) -> None:
    template, _ = split_numbers(f"{head}loss 0.5")
    text, start, places = skip_head(template)
    assert text[start:] == "loss \x12"
    assert places[-1] == len(text) - 1


def test_a_line_of_a_table_loses_its_time_and_level() -> None:
    assert without_head("2024-01-05 12:30:45,123 - INFO - | 1 | 2 |") == "| 1 | 2 |"
    assert without_head("| 1 | 2 |") == "| 1 | 2 |"


def test_every_number_with_a_name_is_found_for_a_step_that_the_user_chose() -> None:
    assert named_numbers("seen=10 'seed': 3, loss 0.5") == {"seen": 10, "seed": 3, "loss": 0.5}


@pytest.mark.parametrize(
    ("name", "known", "step", "epoch", "setting"),
    [
        ("val_loss", True, 0, False, False),
        ("Acc@1", True, 0, False, False),
        ("global_step", False, 4, False, False),
        ("train_step", False, 2, False, False),
        ("steps", False, 1, False, False),
        ("current_epoch", False, 0, True, False),
        ("batch_size", False, 0, False, True),
        ("frames", False, 0, False, False),
    ],
)
def test_a_name_says_what_its_number_is(
    name: str, known: bool, step: int, epoch: bool, setting: bool
) -> None:
    assert traits(name)[:4] == (known, step, epoch, setting)


def test_lengths_are_counters_in_a_record() -> None:
    assert traits("total_timesteps").step == 0
    assert traits("total_timesteps", record=True).step == 3


def test_a_time_may_be_a_date() -> None:
    about = traits("time")
    assert about.is_setting(1.7e9)
    assert not about.is_setting(0.12)


def test_long_lines_are_of_interest_by_a_word_or_a_bar() -> None:
    assert may_interest("the loss is \x12")
    assert may_interest(" \x11%|\u2588| \x11/\x11")
    assert not may_interest("input shape is \x11 by \x11")


@pytest.mark.parametrize(
    ("unit", "name", "found"),
    [
        ("ms", "time", (1e-3, "s")),
        ("k", "tok/s", (1e3, "")),
        ("GB", "mem", (1.0, "GB")),
        ("M", "max_mem", (1.0, "M")),
        ("TFLOPS", "speed", (1.0, "TFLOPS")),
        ("samples/s", "speed", (1.0, "samples/s")),
        ("%", "mfu", (1.0, "%")),
    ],
)
def test_units_are_converted_but_those_of_memory(
    unit: str, name: str, found: tuple[float, str]
) -> None:
    assert convert_unit(unit, name) == found


def test_held_out_metrics_are_named_once() -> None:
    assert [as_held_out(name) for name in ("loss", "val_loss", "test/acc", "interval")] == [
        "val/loss",
        "val_loss",
        "test/acc",
        "val/interval",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("train loss ", "train_loss"),
        ("iter \x11: loss ", "loss"),
        ("| grad norm: ", "grad_norm"),
        ("loss (val): ", "loss_val"),
        ("loss: tensor(", "loss"),
        ("training's l2: ", "training/l2"),
        ("validation loss: ", "val/loss"),
        ("improved from ", "from"),
        ("[1, ", ""),
    ],
)
def test_the_name_of_a_number_stands_before_it(text: str, name: str) -> None:
    assert read_name(text).name == name


def items(body: str) -> tuple[int | None, float | None, dict[str, float]]:
    line = Line(record=True)
    read_dict(body, line)
    return line.step, line.epoch, line.metrics


def test_a_dict_of_json_and_one_of_python_are_read_alike() -> None:
    json = '{"step": 5, "epoch": 1, "train": {"loss": 0.25}, "lr": "5e-5", "pid": 7}'
    python = "{'step': 5, 'epoch': 1, 'train': {'loss': tensor(0.25)}, 'lr': '5e-5', 'pid': 7}"
    assert items(json) == items(python) == (5, 1.0, {"train/loss": 0.25, "lr": 5e-5})


def test_the_lines_of_a_dict_are_joined_when_it_closes() -> None:
    held = OpenDict()
    assert held.take("{'loss': 0.5,") == []
    assert held.may_hold("no brace")
    assert held.take(" 'acc': 0.25}") == ["{'loss': 0.5, 'acc': 0.25}"]


def test_what_turns_out_to_be_no_dict_is_given_back() -> None:
    held = OpenDict()
    assert held.take("{'loss': 0.5,") == []
    assert held.take("hello") == ["{'loss': 0.5,", "hello"]
    assert held.finish() == []
