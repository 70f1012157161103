"""Whether what training tools print is read as the tools themselves recorded it.

    python tests/bench/bench_printed.py --peers PYTHON

PYTHON is an interpreter that has some of transformers, trl, lightning, keras and
stable-baselines3, with torch; what it has not is left out. Each tool trains a tiny model. What it
prints is read line by line, and compared with its own record (trainer_state.json, metrics.csv,
the history, progress.csv): every metric at every step that was printed, in the digits that were.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import ROOT

sys.path.insert(0, str(ROOT))

from genui.logs.printed_log import Lines, PrintedLog

SAVE = """
def save(truth):
    import json, pathlib
    pathlib.Path("truth.json").write_text(json.dumps(truth))

def by_step(records, key):
    truth = {}
    for record in records:
        for name, value in record.items():
            if isinstance(value, float) and name not in ("total_flos",):
                truth.setdefault(name, {})[record[key]] = value
    return truth
"""

HUGGING_FACE = """
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=16, n_embd=8, n_layer=1, n_head=1))
ids = [torch.randint(0, 50, (8,)) for _ in range(64)]
data = [{"input_ids": one, "labels": one} for one in ids]
trainer = Trainer(model, TrainingArguments(
    "out", max_steps=30, per_device_train_batch_size=4, logging_steps=5, eval_strategy="steps",
    eval_steps=15, report_to=[], save_strategy="no", use_cpu=True), train_dataset=data,
    eval_dataset=data[:16])
trainer.train()
save(by_step(trainer.state.log_history, "step"))
"""

TRL = """
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer
words = {w: i for i, w in enumerate(["<pad>", "<eos>", "<unk>", *"abcdefgh"])}
raw = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
raw.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=raw, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
data = Dataset.from_list([{"text": "a b c d e f g"}] * 48)
model = GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=32, n_embd=8, n_layer=1, n_head=1))
trainer = SFTTrainer(model, args=SFTConfig(
    "out", max_steps=20, logging_steps=4, per_device_train_batch_size=4, eval_strategy="steps",
    eval_steps=8, report_to=[], save_strategy="no", use_cpu=True, bf16=False, max_length=16),
    train_dataset=data, eval_dataset=data.select(range(8)), processing_class=tokenizer)
trainer.train()
save(by_step(trainer.state.log_history, "step"))
"""

LIGHTNING = """
import csv, torch, lightning as L
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch, index):
        loss = self.layer(batch).pow(2).mean()
        self.log("train_loss", loss, prog_bar=True)
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", self.layer(batch).pow(2).mean(), prog_bar=True)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)
def loader(count):
    return torch.utils.data.DataLoader(torch.randn(count, 4), batch_size=8)
trainer = L.Trainer(
    max_epochs=3, callbacks=[BAR], logger=CSVLogger("csv"), log_every_n_steps=1,
    enable_checkpointing=False, accelerator="cpu")
trainer.fit(Model(), loader(160), loader(32))
truth = {}
with open(trainer.logger.experiment.metrics_file_path) as file:
    for row in csv.DictReader(file):
        for name in ("train_loss", "val_loss"):
            if row[name]:
                truth.setdefault(name, {})[int(row["step"]) + 1] = float(row[name])
save(truth)
"""

KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae"])
x = numpy.random.randn(200, 4)
history = model.fit(x, x.sum(1), batch_size=10, epochs=3, validation_split=0.2, verbose=VERBOSE)
save({k: {16 * (i + 1): v for i, v in enumerate(vs)} for k, vs in history.history.items()})
"""

STABLE_BASELINES = """
import csv
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure
model = PPO("MlpPolicy", "CartPole-v1", n_steps=128, batch_size=64, n_epochs=2, device="cpu")
model.set_logger(configure("sb", ["stdout", "csv"]))
model.learn(512)
truth = {}
with open("sb/progress.csv") as file:
    for row in csv.DictReader(file):
        for name, value in row.items():
            if value:
                truth.setdefault(name, {})[int(row["time/total_timesteps"])] = float(value)
save(truth)
"""

TOOLS = {
    "transformers Trainer": ("transformers", HUGGING_FACE),
    "TRL SFTTrainer": ("trl", TRL),
    "Lightning, tqdm": (
        "lightning",
        LIGHTNING.replace("BAR", "TQDMProgressBar(refresh_rate=5)", 1),
    ),
    "Lightning, Rich": ("lightning", LIGHTNING.replace("BAR", "RichProgressBar()", 1)),
    "Keras, verbose=1": ("keras", KERAS.replace("VERBOSE", "1")),
    "Keras, verbose=2": ("keras", KERAS.replace("VERBOSE", "2")),
    "stable-baselines3": ("stable_baselines3", STABLE_BASELINES),
}
EVERY_STEP = frozenset(TOOLS) - {"Lightning, tqdm", "Lightning, Rich"}  # others print some only

Series = dict[str, dict[int, float]]


def read(data: bytes) -> Series:
    """The series in what was printed."""
    lines, log = Lines(), PrintedLog()
    printed = lines.take(data) + lines.take(b"", final=True)
    points = [point for line in printed for point in log.take(line.text, line.stays)]
    series: Series = {}
    for step, metrics in points + log.finish():
        for name, value in metrics.items():
            series.setdefault(name, {})[step] = value
    return series


def compare(series: Series, truth: Series, every: bool) -> tuple[int, int, int]:
    """The points that are as the tool recorded them, others, and those that are missing."""
    right = wrong = missing = 0
    for name, points in truth.items():
        found = series.get(name, {})
        for step, value in found.items():
            close = step in points and abs(points[step] - value) <= 6e-4 + 6e-3 * abs(value)
            # Within an epoch Keras prints means so far, of which it keeps the last.
            if close:
                right += 1
            elif step in points or not every:
                wrong += 1
        missing += len(points.keys() - found.keys()) if every else not found
    return right, wrong, missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peers", metavar="PYTHON", default=sys.executable)
    python = parser.parse_args().peers
    failed = False
    for title, (module, code) in TOOLS.items():
        probe = f"import importlib.metadata as m; print(m.version('{module.replace('_', '-')}'))"
        version = subprocess.run([python, "-c", probe], capture_output=True, text=True)
        if version.returncode:
            print(f"{title:22} not installed")
            continue
        with tempfile.TemporaryDirectory(prefix="genui-bench-") as folder:
            command = [python, "-c", SAVE + code]
            ended = subprocess.run(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600
            )
            path = Path(folder) / "truth.json"
            if not path.exists():
                print(f"{title:22} {version.stdout.strip():8} failed: {ended.stdout[-200:]!r}")
                failed = True
                continue
            record = json.loads(path.read_text())
        truth = {
            name: {int(step): value for step, value in points.items()}
            for name, points in record.items()
        }
        right, wrong, missing = compare(read(ended.stdout), truth, title in EVERY_STEP)
        failed = failed or bool(wrong or missing or not right)
        print(
            f"{title:22} {version.stdout.strip():8} {right} right, {wrong} wrong, {missing} missing"
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
