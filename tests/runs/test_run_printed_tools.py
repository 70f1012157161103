"""What whole logs of training tools mean: `printed/NAME.txt` as printed, `NAME.json` as read.

The files of `issue 20` have short names for their metrics; NAMES has ours. The others were written
by hand, after the statement that prints them.
"""

import json
from pathlib import Path

import pytest

from genui.logs.printed_choice import Choice
from genui.logs.printed_log import Lines, Point, PrintedLog

FOLDER = Path(__file__).parent / "printed"

NAMES = {
    "grad": ("grad_norm",),
    "lr": ("lr", "learning_rate"),
    "LR": ("LR",),
    "core": ("CORE_metric",),
    "eplen": ("Mean_episode_length",),
    "mem": ("mem", "peak_memory_active"),
    "mfu": ("mfu", "bf16_mfu"),
    "reward": ("reward", "Mean_reward"),
    "std": ("Mean_action_noise_std",),
    "tf": ("TFLOP/s/device",),
    "time": ("seconds",),
    "tps": ("tps", "tokens_per_second_per_gpu"),
    "val_bpb": ("val/bpb",),
    "valacc": ("val/Acc@1",),
    "vf": ("Mean_value_function_loss",),
}

Series = dict[str, dict[int, float]]


def read(data: bytes, size: int = 65536, choice: Choice | None = None) -> tuple[Series, list[str]]:
    """The series and notes of a log that arrives in pieces."""
    lines, log = Lines(), PrintedLog(choice)
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    points: list[Point] = []
    for piece in [*pieces, b""]:
        for line in lines.take(piece, final=not piece):
            points += log.take(line.text, line.stays)
    series: Series = {}
    for step, metrics in points + log.finish():
        for name, value in metrics.items():
            series.setdefault(name, {})[step] = value
    return series, log.notes


def text(*lines: str) -> bytes:
    return "\n".join([*lines, ""]).encode()


def test_the_step_of_a_table_is_that_which_was_chosen() -> None:
    data = (FOLDER / "sb3.txt").read_bytes()
    series, _ = read(data, choice=Choice(step="time/iterations", metrics=("rollout/*",)))
    assert series == {
        "rollout/ep_len_mean": {1: 21.1, 2: 22.1, 3: 23.1},
        "rollout/ep_rew_mean": {1: 21.5, 2: 22.5, 3: 23.5},
    }


def test_records_are_counted_if_that_was_chosen() -> None:
    series, notes = read(text("step 7 loss 3", "step 7 loss 2", "hello"), choice=Choice("count"))
    assert (series, notes) == ({"loss": {0: 3.0, 1: 2.0}}, [])


def test_how_a_restart_was_read_is_said() -> None:
    _, notes = read(text(*(f"step {n} loss 1" for n in (0, 10, 20, 0, 10, 20))))
    assert notes == [
        "the step restarts at 0: read as a new epoch, unsure: no epoch is printed; it could be "
        "another run"
    ]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.txt")))
def test_what_is_printed_before_a_training_changes_nothing(name: str) -> None:
    # Settings in five forms, bars of downloads and data, warnings, the size of the model.
    before = (FOLDER / "preamble").read_bytes()
    log = (FOLDER / f"{name}.txt").read_bytes()
    assert read(before + log)[0] == read(log)[0] != {}


PREFIXES = (b"[default0]:", b"[rank0]: ", b"2024-01-05 12:30:45,123 - INFO - ")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_is_before_every_line_changes_nothing(prefix: bytes) -> None:
    for path in sorted(FOLDER.glob("*.txt")):
        log = path.read_bytes()
        series, _ = read(log)
        if not any(name.startswith("rank") for name in series):
            lines = [prefix + line if line else line for line in log.split(b"\n")]
            assert read(b"\n".join(lines))[0] == series, path.name


def test_what_is_printed_before_a_training_is_no_metric() -> None:
    assert read((FOLDER / "preamble").read_bytes())[0] == {}
    settings = (
        "lr: 0.001",
        "optimizer:",
        "  lr: 3e-4",
        "| lr | 0.001 |",
        "Namespace(lr=0.1, wd=0.2)",
    )
    assert read(text(*settings, "Epoch 1: val_loss improved from inf to 0.5"))[0] == {}


def test_units_are_kept() -> None:
    log = PrintedLog()
    for line in (
        "step 1 loss 2.5 step_time: 120ms tok/s: 12.5k mfu: 45% mem: 12.3GB speed: 3.5 samples/s",
        "val step 1: time 12ms",
        "epoch  gpu_mem  loss",
        "    1    2.61G   1.5",
    ):
        log.take(line)
    assert log.units == {
        "step_time": "s", "mfu": "%", "mem": "GB", "speed": "samples/s", "val/time": "s",
        "gpu_mem": "G",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.json")))
def test_every_metric_at_every_step(name: str) -> None:
    truth = json.loads((FOLDER / f"{name}.json").read_text())
    series, _ = read((FOLDER / f"{name}.txt").read_bytes(), size=7)
    for short, points in truth.items():
        ours = next((n for n in NAMES.get(short, (short,)) if n in series), "")
        assert ours, f"{short} is not among {list(series)}"
        wanted = {int(step): value for step, value in points.items()}
        if short == "valacc":  # by epoch; on the axis of the steps it is at the end of each
            assert list(series[ours].values()) == list(wanted.values())
        else:
            assert series[ours] == pytest.approx(wanted)


# --- What real tools printed, and what they keep themselves (bench_printed.py --keep) ------------

REAL = Path(__file__).parent / "printed_real"
NOT_PRINTED = {"total_flos"}  # kept by the Hugging Face Trainer alone


@pytest.mark.parametrize("name", sorted(path.stem for path in REAL.glob("*.json")))
def test_every_metric_of_a_real_tool_at_every_step(name: str) -> None:
    truth = json.loads((REAL / f"{name}.json").read_text())
    series, _ = read((REAL / f"{name}.txt").read_bytes())
    for metric, points in truth.items():
        if metric in NOT_PRINTED:
            continue
        ours = metric if metric in series else metric.rpartition("/")[2]
        wanted = {int(step): value for step, value in points.items()}
        if name == "lightning-rich-bar":  # piped, it prints its last state alone
            wanted = {max(wanted): wanted[max(wanted)]}
        known = {step: series[ours][step] for step in wanted if step in series[ours]}
        assert known == pytest.approx(wanted, rel=6e-3, abs=6e-4), metric
        within_an_epoch = name == "keras" and not metric.startswith("val_")
        assert known.keys() == series[ours].keys() or within_an_epoch
