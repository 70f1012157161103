import numpy as np
import pytest
from rich.cells import cell_len

from genui.render.chart import Part, build_legend, choose_sign, strip_shared_words
from genui.render.series import Fault, Trace

STEPS = np.arange(3)


def runs(*names: str) -> list[Trace]:
    return [Trace(name, STEPS, np.ones(3)) for name in names]


def text(parts: list[Part]) -> str:
    return "".join(word for word, _ in parts)


def test_eight_series_have_eight_signs() -> None:
    assert len({choose_sign(index, "line") for index in range(8)}) == 8


def test_a_legend_names_signs_faults_and_what_was_rewritten() -> None:
    parts = build_legend(runs("a", "b"), Fault.NAN | Fault.BELOW, rewritten=True)
    assert text(parts) == "━ a  ◆ b  ✗ NaN  ▼ -∞  ↺ written again"


def test_a_legend_tells_values() -> None:
    assert text(build_legend(runs("a", "b"), readings={"a": 1.7123})) == "━ a 1.712  ◆ b –"


@pytest.mark.parametrize("width", [24, 30, 40, 60])
def test_a_narrow_legend_still_tells_series_apart(width: int) -> None:
    names = ["plays-20261125-a/train", "plays-20261125-b/train", "plays-20261125-c/train"]
    drawn = text(build_legend(runs(*names), Fault.NAN, width=width))
    assert cell_len(drawn) <= width
    assert [sign for sign in "━◆●✗" if sign in drawn] == list("━◆●✗")
    assert all(f" {letter}" in drawn for letter in "abc")


def test_values_are_left_out_before_names_are() -> None:
    readings = dict.fromkeys("abcdefgh", 1.0)
    assert "1.000" in text(build_legend(runs(*"abcdefgh"), readings=readings, width=86))
    assert "1.000" not in text(build_legend(runs(*"abcdefgh"), readings=readings, width=42))


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["run-1/loss", "run-2/loss"], ["1", "2"]),
        (["train/loss", "val/loss"], ["train", "val"]),
        (["loss", "loss/val"], ["loss", "loss/val"]),
        (["a", "a"], ["a", "a"]),
        (["only"], ["only"]),
    ],
)
def test_names_are_cut_to_what_tells_them_apart(names: list[str], short: list[str]) -> None:
    assert strip_shared_words(names) == short
