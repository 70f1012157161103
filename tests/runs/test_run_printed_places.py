"""No two printed records replace each other silently, whatever bars are drawn between them."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from genui.logs.printed_log import Lines, PrintedLog


def read(text: str) -> tuple[dict[str, dict[int, float]], list[str]]:
    """The series and the notes of a log."""
    lines, log = Lines(), PrintedLog()
    points = [
        point
        for line in lines.take(text.encode()) + lines.take(b"", final=True)
        for point in log.take(line.text, line.stays)
    ]
    series: dict[str, dict[int, float]] = {}
    for step, metrics in points + log.finish():
        for name, value in metrics.items():
            series.setdefault(name, {})[step] = value
    return series, log.notes


SHOWN = 0.25  # the loss that a bar shows, which is no record


def losses(series: dict[str, dict[int, float]]) -> list[float]:
    found = [v for name in series if name.endswith("loss") for v in series[name].values()]
    return sorted(value for value in found if value != SHOWN)


def bar(title: str, n: int, total: int, redrawn: bool = True) -> str:
    """A bar as tqdm draws it; `redrawn` is False for the last state of one that stays."""
    percent = 100 * n // total
    shown = f", loss={SHOWN}" if title == "train: " else ""
    drawn = f"{percent:3}%|{'█' * (percent // 10):10}|"
    text = f"{title}{drawn} {n}/{total} [00:01<00:01, 9.00it/s{shown}]"
    return f"\r{text}" if redrawn else f"\r{text}\n"


CLEARED = "\r" + " " * 60 + "\r"
TITLES = ("", "Map: ", "Loading weights: ", "train: ")
FORMS = ("loss: {}", "epoch {epoch} loss {}", "Epoch {epoch}/9 - loss: {}", "step {step}: loss {}",
         "{{'loss': {}, 'epoch': {part}}}")  # fmt: skip


def write(events: list[tuple[str, int, int]]) -> Iterator[str]:
    """What a script prints that draws bars and prints a loss now and then; no loss twice."""
    title, n, total, shown = "", 0, 10, False
    epoch = step = count = 0
    for kind, a, b in events:
        if kind == "begin":
            if shown:
                yield "\n" if a % 2 else CLEARED
            title, n, total, shown = TITLES[a % 4], 0, (4, 10, 100)[b % 3], True
            yield bar(title, 0, total)
        elif kind == "draw" and shown:
            n = min(total, n + a)
            yield bar(title, n, total)
        elif kind == "end" and shown:
            yield bar(title, total, total, redrawn=False) if a % 2 else CLEARED
            shown = False
        elif kind == "epoch":
            epoch += 1
        elif kind == "print":
            count += 1
            step += 1 + b % 7
            values = {"epoch": epoch, "step": step, "part": round(epoch + count / 1000, 3)}
            line = FORMS[a % len(FORMS)].format(count + 0.5, **values) + "\n"
            if shown and b % 2:  # tqdm.write
                yield CLEARED + line + bar(title, n, total)
            else:  # print, which goes on at the end of the bar
                yield line


KINDS = st.sampled_from(("begin", "draw", "draw", "end", "epoch", "print", "print", "print"))
EVENTS = st.lists(st.tuples(KINDS, st.integers(0, 9), st.integers(0, 9)), max_size=40)


@given(EVENTS, st.integers(0, len(FORMS) - 1))
def test_as_many_records_are_kept_as_are_printed_in_one_form(
    events: list[tuple[str, int, int]], form: int
) -> None:
    events = [(kind, form if kind == "print" else a, b) for kind, a, b in events]
    series, _ = read("".join(write(events)))
    count = sum(kind == "print" for kind, *_ in events)
    assert losses(series) == [n + 1.5 for n in range(count)]


@given(EVENTS)
def test_as_many_records_are_kept_as_are_printed_in_any_forms(
    events: list[tuple[str, int, int]],
) -> None:
    series, _ = read("".join(write(events)))
    count = sum(kind == "print" for kind, *_ in events)
    assert losses(series) == [n + 1.5 for n in range(count)]


def test_explicit_epochs_and_steps_beat_any_bar() -> None:
    printed = "".join(bar("", 0, 5) + f"epoch {n}: loss {n}.5\n" for n in range(1, 4))
    assert read(bar("Map: ", 9, 9, redrawn=False) + printed) == (
        {"loss": {1: 1.5, 2: 2.5, 3: 3.5}},
        [],
    )
    printed = "".join(bar("", 0, 5) + f"step {n}0: loss {n}.5\n" for n in range(1, 4))
    assert read(printed) == ({"loss": {10: 1.5, 20: 2.5, 30: 3.5}}, [])


def test_a_bar_that_has_ended_is_no_position() -> None:
    printed = "".join(f"loss {n}.5\n" for n in range(3))
    series, notes = read(bar("Loading weights: ", 9, 9, redrawn=False) + printed)
    assert series == {"loss": {0: 0.5, 1: 1.5, 2: 2.5}}
    assert notes == ["unsure: no step is printed, so the records are counted; see --step"]


def test_records_at_one_position_of_a_bar_have_steps_of_their_own_and_it_is_said() -> None:
    series, notes = read(bar("", 4, 100) + "loss 3.5\nloss 2.5\nloss 1.5\n" + bar("", 50, 100))
    assert series == {"loss": {4: 3.5, 5: 2.5, 6: 1.5}}
    assert notes == [
        "unsure: several records are printed at one position of a bar or in one epoch: each has a "
        "step of its own"
    ]


def test_a_step_that_is_printed_twice_has_a_second_series_and_it_is_said() -> None:
    series, notes = read("step 1 loss 3\nstep 1 loss 2\nstep 1 loss 1\nstep 1 loss 1\n")
    assert series == {"loss": {1: 3.0}, "2nd/loss": {1: 2.0}, "3rd/loss": {1: 1.0}}
    assert notes == [
        "unsure: steps are printed again with other values, as by another process: these are "
        "2nd/NAME"
    ]


def test_what_a_resumed_run_repeats_replaces_what_was_there() -> None:
    printed = [f"step {n} loss {n}.5\n" for n in range(10)]
    again = [f"step {n} loss {n}.7\n" for n in range(3, 6)]
    series, notes = read("".join(printed + again))
    assert series["loss"] == {n: n + (0.7 if 3 <= n < 6 else 0.5) for n in range(10)}
    assert notes == ["the step went back from 9 to 3: read as resumed from a checkpoint"]


def test_a_second_table_goes_on_after_the_first() -> None:
    header = "epoch     train_loss  accuracy\n"
    series, _ = read(
        f"{header}0  0.5  0.1\n{header}0  0.4  0.2\n1  0.3  0.3\n{header}0  0.2  0.4\n"
    )
    assert series["train_loss"] == {0: 0.5, 1: 0.4, 2: 0.3, 3: 0.2}


def test_a_late_evaluation_stays_at_its_epoch_and_a_resumed_run_repeats_its_own() -> None:
    late = (
        "epoch 1 loss 3\nepoch 2 loss 2\nepoch 1 val_loss 4\nepoch 3 loss 1\nepoch 2 val_loss 5\n"
    )
    assert read(late) == ({"loss": {1: 3.0, 2: 2.0, 3: 1.0}, "val_loss": {1: 4.0, 2: 5.0}}, [])
    resumed = "".join(f"epoch {n} loss {n}.5\n" for n in (1, 2, 3)) + "epoch 2 loss 2.7\n"
    series, notes = read(resumed)
    assert series == {"loss": {1: 1.5, 2: 2.7, 3: 3.5}}
    assert notes == ["the epoch went back from 3 to 2: read as resumed from a checkpoint"]


def test_an_evaluation_after_an_epoch_is_no_epoch_however_many_batches_it_has() -> None:
    for batches in (2, 8, 10):
        printed = "".join(f"Epoch {n}/2\n8/8 - 0s - loss: {n}.5\n" for n in (1, 2))
        series, _ = read(f"{printed}{batches}/{batches} - 0s - loss: 9.5\n")
        assert series == {"loss": {8: 1.5, 16: 2.5}, "eval/loss": {16: 9.5}}


def test_a_pause_while_a_bar_stands_at_its_end_changes_nothing() -> None:
    log = PrintedLog()
    points = []
    for n in (1, 2, 3):
        for line in Lines().take((bar("", 0, 20) + bar("", 20, 20, redrawn=False)).encode()):
            points += log.take(line.text, line.stays)
        assert log.finish() == []  # nothing was written for a while
        points += log.take(f"loss {n}.5")
    assert [step for step, _ in points] == [20, 40, 60]
