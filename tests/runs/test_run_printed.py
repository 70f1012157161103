"""Metrics out of what training scripts print for people."""

import math
import re
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.logs.printed_line import read_any
from genui.logs.printed_log import Lines, PrintedLog

Found = tuple[int, dict[str, float]] | None


def at_once(*lines: str) -> list[Found]:
    log = PrintedLog()
    return [points[-1] if (points := log.take(line)) else None for line in lines]


def metrics(line: str) -> dict[str, float]:
    found = read_any(line)
    return {} if found is None or found.weak else found.metrics


# --- one line ------------------------------------------------------------------------

FORMATS = {
    "plain": (
        "step 100: loss 2.31, lr 3e-4",
        (100, {"loss": 2.31, "lr": 3e-4}),
    ),
    "epoch and iteration": (
        "epoch 3/10 iter 40 | loss=0.5 acc: 91.2%",
        (40, {"loss": 0.5, "acc": 91.2, "epoch": 3}),
    ),
    "tqdm": (
        " 12%|█▏        | 120/1000 [00:10<01:10, 12.3it/s, loss=0.53]",
        (120, {"loss": 0.53, "it/s": 12.3}),
    ),
    "tqdm, slow": (
        "  4%|▍         | 40/1000 [01:00<10:00,  2.00s/it, loss=0.5, lr=1.2e-5]",
        (40, {"loss": 0.5, "lr": 1.2e-5, "it/s": 0.5}),
    ),
    "Lightning": (
        "Epoch 0:  50%|█████     | 50/100 [00:01<00:01, 49.5it/s, v_num=3, train_loss=0.5]",
        (50, {"train_loss": 0.5, "it/s": 49.5, "epoch": 0}),
    ),
    "Python dict": (
        "{'loss': 0.5, 'grad_norm': 1.5, 'epoch': 1.0}",
        (1, {"loss": 0.5, "grad_norm": 1.5}),
    ),
    "dict of tensors": (
        "step=7 {'loss': tensor(0.5312, device='cuda:0', grad_fn=<NllLossBackward0>), "
        "'acc': np.float64(0.91), 'ppl': array(3.), 'n': tensor([1, 2])}",
        (7, {"loss": 0.5312, "acc": 0.91, "ppl": 3.0}),
    ),
    "Hugging Face, as text": (
        "{'loss': '0.5312', 'learning_rate': '5e-05', 'epoch': '0.25'}",
        (0, {"loss": 0.5312, "learning_rate": 5e-5, "epoch": 0.25}),
    ),
    "JSON": (
        '{"step": 5, "train": {"loss": 0.25}, "lr": "NaN", "time": 1700000000.5, "ok": true}',
        (5, {"train/loss": 0.25, "lr": math.nan}),
    ),
    "Keras": (
        "\x1b[1m120/500\x1b[0m \x1b[32m━━━━\x1b[0m\x1b[37m━━━━\x1b[0m \x1b[1m3s\x1b[0m 20ms/step"
        " - accuracy: 0.9100 - loss: 0.2000",
        (120, {"accuracy": 0.91, "loss": 0.2, "step/s": 50.0}),
    ),
    "Keras, older": (
        "500/500 [==============================] - ETA: 3s - loss: 0.2 - val_loss: 0.3\x08\x08",
        (500, {"loss": 0.2, "val_loss": 0.3}),
    ),
    "nanoGPT": (
        "iter 100: loss 2.3000, time 12.00ms, mfu 3.00%",
        (100, {"loss": 2.3, "seconds": 0.012, "mfu": 3.0}),
    ),
    "nanoGPT, evaluation": (
        "step 0: train loss 4.2874, val loss 4.2823",
        (0, {"train_loss": 4.2874, "val_loss": 4.2823}),
    ),
    "logging": (
        "2024-01-05 12:30:45,123 - INFO - step 1,240 loss=0.5",
        (1240, {"loss": 0.5}),
    ),
    "loguru": (
        "2024-01-05 12:30:45.123 | INFO | train:main:42 - step 100 | loss 0.5",
        (100, {"loss": 0.5}),
    ),
    "genui": (
        "2026-01-05 10:00:00 step 40  loss 1.604  lr 0.0030",
        (40, {"loss": 1.604, "lr": 0.003}),
    ),
    "PyTorch, MNIST": (
        "Train Epoch: 1 [6400/60000 (11%)]\tLoss: 0.345678",
        (6400, {"Loss": 0.345678, "epoch": 1}),
    ),
    "PyTorch, MNIST, test": (
        "Test set: Average loss: 0.0345, Accuracy: 9890/10000 (99%)",
        (0, {"val/Average_loss": 0.0345, "val/Accuracy": 0.989}),
    ),
    "PyTorch, ImageNet": (
        "Epoch: [0][  10/5005]\tTime  0.3 ( 0.5)\tLoss 6.9e+00 (7.0e+00)\tAcc@1   0.00 (  0.10)",
        (10, {"Time": 0.3, "Loss": 6.9, "Acc@1": 0.0, "epoch": 0}),
    ),
    "PyTorch, language model": (
        "| epoch   1 |   200/ 2928 batches | lr 20.00 | ms/batch 12.34 | loss  7.63 | ppl  20.5",
        (200, {"lr": 20.0, "ms/batch": 12.34, "loss": 7.63, "ppl": 20.5, "epoch": 1}),
    ),
    "tutorials": (
        "Epoch [3/10], Step [40/500], Loss: 0.5",
        (40, {"Loss": 0.5, "epoch": 3}),
    ),
    "XGBoost": (
        "[10]\ttrain-rmse:0.51234\ttest-rmse:0.61234",
        (10, {"train-rmse": 0.51234, "test-rmse": 0.61234}),
    ),
    "words after a name": ("loss (train): 0.5", (0, {"loss_train": 0.5})),
    "not finite": (
        "step 5 loss inf grad_norm -inf acc nan",
        (5, {"loss": math.inf, "grad_norm": -math.inf, "acc": math.nan}),
    ),
    "another alphabet": ("step 3 損失: 0.5", (3, {"損失": 0.5})),
}


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_line_as_that_tool_prints_it(name: str) -> None:
    line, (step, wanted) = FORMATS[name]
    (found,) = at_once(line)
    assert found is not None
    assert found[0] == step
    assert found[1] == pytest.approx(wanted, nan_ok=True)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no number at all",
        "GPU memory 12.3 GB on cuda:0, torch 2.13.0 at http://10.0.0.1:8080/",
        "input shape: (3, 224, 224) 3x224x224 torch.Size([3, 224])",
        "saved ckpt/epoch=3-val_loss=0.45.ckpt and model_0.5.pt",
        'File "train.py", line 42, in loss_0',
        "2024-01-05 12:30:45,123 [INFO] host 192.168.0.1 port 22: started",
        "batch_size: 32, hidden_dim = 512, seed=1",
        "Total steps: 1000, 500 steps per epoch",
        "Downloading data: 45%|████▌     | 1.2G/2.7G [00:10<00:12, 120MB/s]",
        "validating: 100%|██████████| 50/50 [00:01<00:00, 45.3it/s]",
        '{"level": "info", "ts": 1700000000.1, "msg": "loss 0.5"}',
        "loss: 0.5.3 acc: 12:30 lr: 3e-4x",
        "[1, 2, 3]",
        "{",
        "{'loss': None, 'acc': '', 'lr': []}",
        '{"loss": ' + "9" * 5000 + "}",
        "[" * 5000,
        "engine/trainer: amp=False, angle=1.0, box=7.5, cfg=None, cls=0.5, device=cpu, iou=0.7",
        "val: Scanning labels... 12 images, 0 corrupt: 100% ━━━━━━━━━━━━ 12/12 994.3it/s 0.0s",
        "step 3 took time=1 minute and 2.3 seconds",
        "[LightGBM] [Info] Start training from score -0.165792",
        "[LightGBM] [Info] Number of positive: 139, number of negative: 127",
    ],
)
def test_what_is_no_metric(line: str) -> None:
    assert metrics(line) == {}


def test_held_out_data_has_names_of_its_own() -> None:
    line = "[2024-01-05 12:30:45] INFO: Validation: loss=0.4, val_acc=0.9"
    assert metrics(line) == {"val/loss": 0.4, "val_acc": 0.9}


def test_a_metric_called_val_is_no_line_about_held_out_data() -> None:
    assert metrics("val 1.712  loss 1.604  lr 3e-4") == {"val": 1.712, "loss": 1.604, "lr": 3e-4}


def test_a_setting_beside_a_metric_is_left_out() -> None:
    assert metrics("step 3 loss: 0.5 gpu: 0 batch_size: 32 eta: 0:10:20 max mem: 40") == {
        "loss": 0.5,
        "max_mem": 40,
    }


# --- steps ---------------------------------------------------------------------------


def steps(*lines: str) -> list[int | None]:
    return [found and found[0] for found in at_once(*lines)]


def test_lines_without_a_step_are_counted() -> None:
    assert steps("loss 0.5", "hello", "loss 0.4", "loss 0.3") == [0, None, 1, 2]
    of_rl_games = "fps step: {} fps step and policy inference: 900 fps total: 800"
    assert steps(*map(of_rl_games.format, (1000, 1100, 1200))) == [0, 1, 2]


def test_what_follows_a_step_belongs_to_it() -> None:
    assert steps("step 100", "loss 0.5", "val_loss 0.6", "step 200", "loss 0.4") == [
        None, 100, 100, None, 200,
    ]  # fmt: skip


def test_epochs_are_steps_where_nothing_is_finer() -> None:
    assert steps("epoch 1: loss 0.5", "epoch 1: val_loss 0.6", "epoch 2: loss 0.4") == [1, 1, 2]
    assert steps("step 500 loss 0.5", "epoch 1: val_loss 0.6") == [500, 500]


def test_parts_of_epochs_count_no_steps() -> None:
    assert steps("{'loss': 2.0, 'epoch': 0.01}", "{'loss': 1.0, 'epoch': 0.02}") == [0, 1]


def test_a_bar_that_begins_anew_goes_on_counting() -> None:
    assert steps(*(f"{n}/100 [00:01<00:01, loss=1]" for n in (50, 100, 50, 100, 1))) == [
        50, 100, 150, 200, 201,
    ]  # fmt: skip


def test_iterations_of_an_epoch_whose_length_is_not_known_go_on_counting() -> None:
    lines = [f"epoch {epoch} iter {n} loss 1" for epoch in (0, 1) for n in (0, 10, 20)]
    assert steps(*lines) == [0, 10, 20, 30, 40, 50]


def test_a_global_step_is_taken_as_it_is() -> None:
    assert steps("{'global_step': 50, 'step': 3, 'loss': 1}", "global_step=10 loss=1") == [50, 10]


def test_the_count_of_an_evaluation_is_no_step() -> None:
    lines = [" --> STEP: 50/100 -- GLOBAL_STEP: 50", "  | > loss: 0.5  (0.6)"]  # as Coqui TTS
    lines += ["> EVALUATION", " --> STEP: 0", "  | > loss: 0.7  (0.7)", ""]
    lines += [" --> STEP: 0/100 -- GLOBAL_STEP: 100", "  | > loss: 0.4  (0.5)", ""]
    points = [point for point in at_once(*lines) if point]
    assert points == [(50, {"loss": 0.5}), (50, {"val/loss": 0.7}), (100, {"loss": 0.4})]


def test_lines_slightly_out_of_order_stay_where_they_are() -> None:
    assert steps("step 100 loss 1", "step 99 loss 1", "step 101 loss 1") == [100, 99, 101]


def test_the_bar_of_an_evaluation_moves_no_step() -> None:
    assert steps(
        "step 500 loss 1", "Validation: 10/50 [00:01<00:04, loss=0.7]", "step 510 loss 1"
    ) == [500, 500, 510]


# --- lines out of bytes --------------------------------------------------------------


def test_a_bar_drawn_over_itself_is_many_lines() -> None:
    assert Lines().take(b"\r10%|\r20%|\r\nend\n") == [
        ("", False),
        ("10%|", False),
        ("20%|", True),
        ("end", True),
    ]


def test_a_line_in_pieces_is_given_whole() -> None:
    lines = Lines()
    whole = "loss: 0.5 損失\r\nlr 0.1\n".encode()
    found = [line.text for byte in whole for line in lines.take(bytes([byte]))]
    assert found == ["loss: 0.5 損失", "lr 0.1"]


def test_what_no_line_end_follows_is_given_at_the_end() -> None:
    lines = Lines()
    assert lines.take(b"step 1 loss 0.5") == []
    assert lines.take(b"", final=True) == [("step 1 loss 0.5", True)]


def test_a_line_of_a_megabyte_is_given_in_parts_and_held_nowhere() -> None:
    lines = Lines()
    parts = [part for _ in range(64) for part in lines.take(b"x" * 16384)]
    parts += lines.take(b"", final=True)
    assert sum(len(part.text) for part in parts) == 64 * 16384
    assert max(len(part.text) for part in parts) <= 3 * 16384


UNITS = [
    *("a", "1", "a ", "a:", "a-", "1,", "1.", "\x1b[", "(", "'", "1/", "[1", "loss ", "- ", " "),
    *("| ", "{'a': ", "█", "[a", "0-a", "a, ", "1 | ", "-- ", "a  b  ", "1e", "a=1 ", "12:00:00 "),
]


@pytest.mark.parametrize("unit", UNITS)
def test_a_line_of_a_megabyte_takes_no_time_that_grows_with_its_square(unit: str) -> None:
    # Were it quadratic, the test's own time limit would end it.
    log = PrintedLog()
    log.take("epoch  loss  acc")
    log.take((unit * 1_000_000)[:1_000_000] + " loss 0.5")
    log.take("| " + (unit * 1_000_000)[:1_000_000] + " |")


_LOGS = sorted((Path(__file__).parent / "printed").glob("*.txt"))
REAL = sorted(
    {line for path in _LOGS for line in re.split("[\r\n]", path.read_text())[:40]}
    | {line for line, _ in FORMATS.values()}
)
"""Lines of real logs."""


@given(
    st.lists(st.tuples(st.one_of(st.text(max_size=80), st.sampled_from(REAL)), st.booleans())),
    st.lists(st.sampled_from(["", "[rank1]:", "2: ", "[default0]:"]), min_size=1, max_size=9),
)
def test_no_text_whatever_raises(texts: list[tuple[str, bool]], ranks: list[str]) -> None:
    log = PrintedLog()
    prefixed = [
        (rank + text, stays) for rank, (text, stays) in zip(cycle(ranks), texts, strict=False)
    ]
    points = [point for text, stays in prefixed for point in log.take(text, stays)]
    for step, values in points + log.finish():
        assert step >= 0
        assert values
        assert all(isinstance(value, float) for value in values.values())


@given(st.binary(max_size=300), st.integers(1, 50))
def test_bytes_give_the_same_lines_in_whatever_pieces(data: bytes, size: int) -> None:
    whole, parts = Lines(), Lines()
    found = [line for i in range(0, len(data), size) for line in parts.take(data[i : i + size])]
    assert found + parts.take(b"", final=True) == whole.take(data) + whole.take(b"", final=True)
