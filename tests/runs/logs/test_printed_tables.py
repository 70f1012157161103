"""Tables among printed lines."""

import pytest

from genui.logs.printed_result import Line
from genui.logs.printed_tables import Tables


def read(*texts: str) -> list[Line]:
    tables = Tables()
    return [line for text in texts for line in tables.take(text) or ()] + tables.end()


@pytest.mark.parametrize(
    "texts",
    [
        ("| epoch | loss | acc |", "|-------|------|-----|", "| 2 | 0.5 | 0.25 |"),
        ("epoch     loss  acc", "2  0.5  0.25"),
        ("epoch,loss,acc", "2,0.5,0.25"),
        ("epoch\tloss\tacc", "2\t0.5\t0.25"),
        ("┃ epoch ┃ loss ┃ acc ┃", "┡━━━━━━━╇━━━━━━╇━━━━━┩", "│ 2 │ 0.5 │ 0.25 │"),
    ],
)
def test_the_columns_of_a_table_are_metrics_at_its_epochs(texts: tuple[str, ...]) -> None:
    (row,) = read(*texts)
    assert (row.epoch, row.metrics) == (2.0, {"loss": 0.5, "acc": 0.25})


def test_names_are_cut_where_the_dashes_below_them_are() -> None:
    (row,) = read("step  train loss  acc", "----  ----------  ---", "   7         0.5  0.2")
    assert (row.step, row.metrics) == (7, {"train_loss": 0.5, "acc": 0.2})


def test_a_table_with_a_name_and_a_number_a_row_is_one_record() -> None:
    (record,) = read(
        "-------------------------",
        "| rollout/    |         |",
        "|    reward   | 21.5    |",
        "| time/       |         |",
        "|    fps      | 90      |",
        "|    total_timesteps | 2048 |",
        "-------------------------",
    )
    assert record.step == 2048
    assert record.metrics == {"rollout/reward": 21.5, "time/fps": 90, "time/total_timesteps": 2048}


def test_other_lines_between_the_rows_end_no_table_but_many_do() -> None:
    def after(count: int) -> list[list[str]]:
        rows = ("| loss | 0.5 |", *["hello"] * count, "| loss | 0.25 |")
        return [list(line.metrics) for line in read(*rows)]

    assert after(3) == [["loss"]]
    assert after(30) == [["loss"], ["loss"]]


def test_rows_of_classes_below_that_of_all_are_left_out() -> None:
    header = "Class     Images  precision  mAP50"
    (row,) = read(header, "all  128  0.5  0.25", "person  61  0.75  0.5")
    assert row.metrics["mAP50"] == 0.25


def test_a_header_that_is_printed_again_begins_a_table_anew() -> None:
    table = ("epoch  train_loss  acc", "0  0.5  0.1")
    assert [row.anew for row in read(*table, *table)] == [False, True]


def test_a_line_of_as_many_words_below_a_table_is_no_row() -> None:
    report = ("    precision  recall  f1-score  support", "a   0.9  0.8  0.85  10")
    assert read(*report, "Epoch 2 loss 0.4") == []


@pytest.mark.parametrize(
    "text", ["hello  world  again", "a, b, c", "| Name | Type |", "12  0.5  3"]
)
def test_what_is_no_table(text: str) -> None:
    assert read(text, "1  2  3") == []
