"""Conditions on a metric."""

import pytest

from genui.base.conditions import Condition, parse_condition
from genui.base.errors import MisuseError


def test_a_bound_may_have_a_unit_as_in_the_filter_of_runs() -> None:
    assert parse_condition("acc >= 90%") == Condition("acc", ">=", 0.9)
    assert parse_condition("tokens>10k").holds(10_001)
    assert parse_condition("val_loss<1.5e-1").bound == 0.15


@pytest.mark.parametrize("text", ["loss", "loss<", "loss<nan", "loss<much", "<1", "loss=1"])
def test_what_is_no_condition_is_one_line(text: str) -> None:
    with pytest.raises(MisuseError, match=r"--until: .*write a condition such as 'val_loss<1.5'"):
        parse_condition(text, "--until: ")
