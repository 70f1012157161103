"""A template is analysed once, and read with the numbers of any line that has it."""

import pytest

from genui.logs.printed_result import Line
from genui.logs.printed_templates import analyse
from genui.logs.printed_tokens import split_numbers


def read(text: str, *numbers: str) -> Line:
    """The line, or one of its template with other numbers."""
    template, own = split_numbers(text)
    plan = analyse(template)
    assert plan is not None
    line = plan.read(list(numbers) or own)
    assert line is not None
    return line


def test_the_plan_of_a_line_reads_the_numbers_of_others() -> None:
    line = read("step 100: loss 2.5, lr 3e-4", "2,000", "1.5", "nan")
    assert (line.step, line.metrics["loss"]) == (2000, 1.5)
    assert line.metrics["lr"] != line.metrics["lr"]


@pytest.mark.parametrize(
    ("text", "step", "epoch", "bar"),
    [
        ("[10] loss 0.5", 10, None, None),
        ("[1, 2000] loss: 0.5", 2000, 1.0, None),
        ("Epoch: [2][10/100] loss 0.5", None, 2.0, (10, 100)),
        ("[epoch 2/3][10/100] loss 0.5", None, 2.0, (10, 100)),
        ("Train: 2 [10/100] loss: 0.5", None, 2.0, (10, 100)),
        ("2epoch, 100batch: loss 0.5", 100, 2.0, None),
        ("epoch 2/3, iter 10 of 100, loss 0.5", 10, 2.0, None),
        ("steps: 10, loss 0.5", 10, None, None),
        ("loss: 0.5, steps: 10", None, None, None),
        ("episode 7: steps: 10, reward 0.5", 7, None, None),
        ("epochs=2, batch=16, seed=1, loss=0.5", None, None, None),
    ],
)
def test_the_position_of_a_line(
    text: str, step: int | None, epoch: float | None, bar: tuple[int, int] | None
) -> None:
    line = read(text)
    assert (line.step, line.epoch, line.bar) == (step, epoch, bar)


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        ("step 1: accuracy: 90/100", {"accuracy": 0.9}),
        ("step 1: HellaSwag: 25/100 = 0.25", {"HellaSwag": 0.25}),
        ("step 1: 2.31, 2.40 avg loss", {"loss": 2.31, "avg_loss": 2.4}),
        ("step 1: 0.5 avg loss", {"avg_loss": 0.5}),
        ("step 1 loss 0.5 | 12.5it/s", {"loss": 0.5, "it/s": 12.5}),
        ("step 1 loss 0.5 | 500ms/it", {"loss": 0.5, "it/s": 2.0}),
        ("step 1 accuracy: (train=0.5, test=0.4)", {"accuracy/train": 0.5, "accuracy/test": 0.4}),
        ("step 1: [val] loss 0.5", {"val/loss": 0.5}),
        ("step 1: tok/s: 12,345, loss 0.5", {"tok/s": 12_345.0, "loss": 0.5}),
        ("step 1: loss 0.5 time 1h 02m 03s", {"loss": 0.5}),
        ("step 1: loss 0.5, time: 2m 3s, lr 0.1", {"loss": 0.5, "lr": 0.1}),
    ],
)
def test_the_metrics_of_a_line(text: str, metrics: dict[str, float]) -> None:
    assert read(text).metrics == pytest.approx(metrics)


def test_a_line_of_arguments_is_none() -> None:
    template, _ = split_numbers("amp=False, box=7.5, cfg=None, device=cpu, iou=0.7")
    assert analyse(template) is None
