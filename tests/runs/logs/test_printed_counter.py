"""Counts that restart are continued to steps."""

from genui.logs.printed_counter import Counter
from genui.logs.printed_result import Notes


def steps(*counts: int, total: int = 0, epochs: tuple[int, ...] = ()) -> tuple[list[int], str]:
    """The steps of counts, and what is noted."""
    counter, notes = Counter(), Notes()
    found = [
        counter.at(n, total, epochs[index] if epochs else None, notes)
        for index, n in enumerate(counts)
    ]
    return found, " ".join(notes.texts)


def test_a_count_that_had_reached_its_end_goes_on_in_the_next_epoch() -> None:
    found, note = steps(50, 100, 50, 100, total=100)
    assert found == [50, 100, 150, 200]
    assert "the count had reached its end" in note


def test_a_count_goes_on_when_the_epoch_does() -> None:
    found, note = steps(10, 20, 10, 20, epochs=(0, 0, 1, 1))
    assert found == [10, 20, 30, 40]
    assert "the epoch went on" in note


def test_epochs_that_are_not_printed_are_counted_too() -> None:
    assert steps(100, 100, total=100, epochs=(0, 3))[0] == [100, 400]


def test_lines_slightly_out_of_order_stay_where_they_are() -> None:
    assert steps(10, 12, 11, 13) == ([10, 12, 11, 13], "")


def test_a_count_that_goes_far_back_is_of_a_resumed_run() -> None:
    found, note = steps(10, 11, 12, 13, 14, 15, 11, 12, epochs=(1,) * 8)
    assert found == [10, 11, 12, 13, 14, 15, 11, 12]
    assert "went back from 15 to 11" in note


def test_a_count_begins_after_epochs_that_were_not_printed() -> None:
    counter = Counter()
    counter.begin(2, 100)
    assert counter.at(5, 100, 2, Notes()) == 205


def test_a_count_may_be_near_its_end_before_it_has_ended() -> None:
    counter = Counter()
    for n in (40, 80):
        counter.at(n, 100, None, Notes())
    assert counter.active
    assert counter.near_end
    assert not counter.ended
    assert counter.end == 100
