"""Lines that wait for what says their step: leads, blocks, repeated numbers, bars."""

from genui.logs.printed_bars import Bars, steps_of
from genui.logs.printed_blocks import Blocks, Repeats
from genui.logs.printed_epochs import Epochs
from genui.logs.printed_leads import Leads
from genui.logs.printed_line import Line, read_any
from genui.logs.printed_result import Notes, Point


def read(text: str) -> Line:
    line = read_any(text)
    assert line is not None
    return line


def test_a_number_that_rises_at_the_beginning_of_lines_is_their_step() -> None:
    notes = Notes()
    leads = Leads(notes)
    found = [leads.take(read(f"seen: {n}, loss: 0.5"), finer=False) for n in (10, 20, 30, 40)]
    steps = [[line.step for line in lines or ()] for lines in found]
    assert steps == [[], [], [10, 20, 30], [40]]
    assert notes.texts == ["the step is 'seen'"]


def test_a_number_that_falls_is_no_step() -> None:
    leads = Leads(Notes())
    assert leads.take(read("seen: 10, loss: 0.5"), finer=False) == []
    released = leads.take(read("seen: 5, loss: 0.4"), finer=False)
    assert [line.step for line in released or ()] == [None, None]
    assert leads.take(read("seen: 20, loss: 0.3"), finer=False) is None


def test_a_lead_counts_for_nothing_in_a_log_that_has_steps() -> None:
    leads = Leads(Notes())
    assert read("step 3: loss 0.5").lead is None
    released = leads.take(read("seen: 10, loss: 0.5"), finer=True)
    assert [line.step for line in released or ()] == [None]


def test_lines_that_wait_for_more_of_them_are_given_at_the_end() -> None:
    leads = Leads(Notes())
    leads.take(read("seen: 10, loss: 0.5"), finer=False)
    leads.take(read("seen: 20, loss: 0.4"), finer=False)
    assert [line.step for line in leads.finish()] == [10, 20]
    assert leads.finish() == []


def test_all_numbers_of_a_long_block_with_a_known_name_are_metrics() -> None:
    for last, kept in (("loss", ["frames", "buffer", "loss"]), ("height", [])):
        blocks = Blocks()
        for name in ("frames", "buffer", last):
            assert blocks.add(read(f"  {name}: 0.5")) == []
        assert [name for line in blocks.end() for name in line.metrics] == kept
        assert not blocks


def test_a_number_below_a_heading_is_a_metric_in_company() -> None:
    blocks = Blocks()
    assert blocks.add_below(read("frames: 0.5"), "frames: 0.5", company=False) == []
    both = blocks.add_below(read("buffer: 0.5"), "buffer: 0.5", company=False)
    assert [line.weak for line in both or ()] == [False, False]


def test_a_number_that_is_repeated_at_later_steps_is_a_metric() -> None:
    repeats = Repeats(Notes())
    found = [repeats.take({"dt": step / 10}, step) for step in (1, 2, 3, 4)]
    points = [Point(step, {"dt": step / 10}) for step in (1, 2, 3, 4)]
    assert found == [[], [], points[:3], points[3:]]


def test_of_a_number_that_is_repeated_at_one_step_the_last_counts() -> None:
    notes = Notes()
    repeats = Repeats(notes)
    for value, step in ((0.1, 1), (0.2, 1), (0.3, 2)):
        assert repeats.take({"dt": value}, step) == []
    assert repeats.take({"dt": 0.4}, 3)[0] == Point(1, {"dt": 0.2})
    assert notes.texts == ["'dt' is printed several times at one step: its last value counts"]


def draw(bars: Bars, title: str, n: int, total: int) -> bool:
    """Draws a bar; whether it is the position."""
    line = read(f"{title}{100 * n // total:3}%|████| {n}/{total} [00:01<00:01, 9.00it/s]")
    notes = Notes()
    counter = bars.find(line, Epochs(notes))
    if counter is not None:
        counter.at(n, total, None, notes)
    return counter is not None


def test_a_bar_inside_that_of_the_training_is_no_position() -> None:
    bars = Bars()
    assert draw(bars, "train: ", 5, 100)
    assert not draw(bars, "check: ", 3, 10)
    assert draw(bars, "train: ", 6, 100)
    assert bars.count is not None
    assert bars.count.step == 6


def test_a_bar_around_that_of_the_training_is_no_position() -> None:
    bars = Bars()
    assert draw(bars, "epochs: ", 0, 3)
    assert draw(bars, "train: ", 0, 100)
    assert draw(bars, "train: ", 100, 100)
    assert not draw(bars, "epochs: ", 1, 3)
    assert draw(bars, "train: ", 0, 100)


def test_a_line_beside_a_bar_that_was_removed_waits_for_the_next_drawing() -> None:
    bars, notes = Bars(), Notes()
    draw(bars, "", 5, 100)
    loss = read("loss 0.5")
    assert bars.holds(loss, repeated=False) is False
    bars.cleared = True
    assert bars.holds(loss, repeated=False)
    bars.hold(loss)
    assert bars.count is not None
    assert steps_of(bars.release(), bars.count, 9, notes) == [9]
    assert not bars.waiting


def test_records_that_came_in_one_piece_are_apart_by_their_epochs() -> None:
    bars, notes = Bars(), Notes()
    draw(bars, "", 0, 100)
    for part in (0.25, 0.5, 1.0):
        bars.cleared = True
        bars.hold(read(f"{{'loss': 0.5, 'epoch': {part}}}"))
    assert bars.count is not None
    assert steps_of(bars.release(), bars.count, 100, notes) == [25, 50, 100]
    assert notes.texts[0].startswith("unsure: records came in pieces")


def test_a_bar_that_ended_without_a_metric_is_none_of_the_training() -> None:
    bars = Bars()
    draw(bars, "Map: ", 9, 9)
    assert bars.ended
    assert not bars.past
    bars.since = 9
    assert bars.past
