"""What real tools print, read through `genui watch -`, against what the tools themselves keep.

    pip install transformers accelerate trl datasets lightning keras stable-baselines3 torch
    pip install lightgbm fastai optuna pytorch-ignite
    python -m tests.bench printed --peers PYTHON_WITH_THE_TOOLS

Each tool trains something tiny with its own progress bar or table, stdout and stderr piped as
`python train.py 2>&1 | genui watch -`. For each metric it says at how many of the steps in the
tool's own file (trainer_state.json, a CSV, a JSON file) the recorded value is the printed one, to
the digits that are printed, and how many recorded points are at other steps, as a bar shows within
an epoch. Piped, Lightning's Rich bar prints only its last state. `total_flos` is kept by the
Trainer and not printed. With --keep both are written, for tests/runs/test_run_printed_tools.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
Truth = dict[str, dict[int, float]]
"""Values by metric and step."""

TINY_GPT = """
import torch
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(0)
model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=1, n_head=2))
"""

HF = (
    TINY_GPT
    + """
from transformers import Trainer, TrainingArguments
data = [{"input_ids": [(i * j) % 64 for j in range(16)],
         "labels": [(i * j) % 64 for j in range(16)]} for i in range(96)]
arguments = TrainingArguments("out", max_steps=30, logging_steps=4, eval_strategy="steps",
    eval_steps=10, per_device_train_batch_size=4, use_cpu=True, report_to="none",
    save_strategy="no")
trainer = Trainer(model, arguments, train_dataset=data, eval_dataset=data[:8])
trainer.train()
trainer.state.save_to_json("truth.json")
"""
)

TRL = """
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer
words = ["<pad>", "<eos>", *"the cat sat on a mat and saw one dog".split()]
bare = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<pad>"))
bare.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=bare, pad_token="<pad>", eos_token="<eos>")
torch.manual_seed(0)
model = GPT2LMHeadModel(GPT2Config(vocab_size=len(words), n_positions=32, n_embd=16, n_layer=1,
    n_head=2))
data = Dataset.from_dict({"text": ["the cat sat on a mat and saw one dog"] * 64})
arguments = SFTConfig("out", max_steps=20, logging_steps=3, per_device_train_batch_size=4,
    use_cpu=True, bf16=False, report_to="none", save_strategy="no", max_length=16)
trainer = SFTTrainer(model, arguments, train_dataset=data, processing_class=tokenizer)
trainer.train()
trainer.state.save_to_json("truth.json")
"""

# A bar shows how many batches are done; CSVLogger counts from 0, so its steps are one less.
LIGHTNING = """
import sys
import torch, lightning
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
class Line(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
    def training_step(self, batch, index):
        loss = ((self.layer(batch) - 2 * batch) ** 2).mean()
        self.log("train_loss", loss, prog_bar=True)
        return loss
    def validation_step(self, batch, index):
        self.log("val_loss", ((self.layer(batch) - 2 * batch) ** 2).mean(), prog_bar=True)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.02)
torch.manual_seed(0)
bar = RichProgressBar() if "rich" in sys.argv else TQDMProgressBar(refresh_rate=1)
logger = CSVLogger(".", name="csv", flush_logs_every_n_steps=1)
trainer = lightning.Trainer(max_epochs=3, logger=logger, log_every_n_steps=1, callbacks=[bar],
    enable_checkpointing=False, enable_model_summary=False, accelerator="cpu")
load = lambda: torch.utils.data.DataLoader(torch.rand(40, 1), batch_size=4)
trainer.fit(Line(), load(), load())
import csv, json
history = []
for row in csv.DictReader(open(logger.log_dir + "/metrics.csv")):
    history.append({"step": int(row["step"]) + 1, **{k: float(v) for k, v in row.items()
                    if v and k not in ("step", "epoch")}})
json.dump({"log_history": history}, open("truth.json", "w"))
"""

RANKS = """
import json, os, random, time
rank = int(os.environ["RANK"])
random.seed(rank)
history = []
for step in range(40):
    time.sleep(random.random() / 50)
    loss = round(1 / (step + 1) + rank, 4)
    print(f"step {step}: loss {loss:.4f}", flush=True)
    history.append({"step": step, "loss": loss})
json.dump(history, open(f"truth{rank}.json", "w"))
"""

_KERAS_MODEL = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import json, keras, numpy as np
keras.utils.set_random_seed(0)
x = np.linspace(0, 1, 80)[:, None]
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae"])
"""

KERAS = (
    _KERAS_MODEL
    + """
history = model.fit(x, 2 * x, batch_size=8, epochs=4, validation_split=0.2, verbose=1).history
rows = [{"step": 8 * (epoch + 1), **{name: float(history[name][epoch]) for name in history}}
        for epoch in range(4)]
json.dump({"log_history": rows}, open("truth.json", "w"))
"""
)

SB3 = """
import json, sys
from stable_baselines3 import PPO
from stable_baselines3.common.logger import HumanOutputFormat, JSONOutputFormat, Logger
model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=32, device="cpu", seed=0)
model.set_logger(Logger(None, [HumanOutputFormat(sys.stdout), JSONOutputFormat("p.json")]))
model.learn(640, log_interval=1)
rows = [json.loads(line) for line in open("p.json")]
json.dump({"log_history": [{"step": row["time/total_timesteps"], **row} for row in rows]},
          open("truth.json", "w"))
"""


# Info lines about the data before, a warning for each tree between the records.
LIGHTGBM = """
import json, sys
import lightgbm, numpy as np
rng = np.random.default_rng(0)
x = rng.normal(size=(300, 6))
data = lightgbm.Dataset(x, (x[:, 0] + rng.normal(size=300) > 0).astype(int))
options = {"objective": "binary", "metric": ["binary_logloss", "auc"], "min_data_in_leaf": 40}
kept = lightgbm.cv(options, data, 10, nfold=3, callbacks=[lightgbm.log_evaluation(1)])
rows = [{"step": i + 1, **{name.removesuffix("-mean").replace(" ", "/"): kept[name][i]
         for name in kept if name.endswith("-mean")}} for i in range(10)]
json.dump({"log_history": rows}, open("truth.json", "w"))
"""

# `evaluate` prints as many batches as an epoch has and more, in the same form.
KERAS_LINES = (
    _KERAS_MODEL
    + """
rows, step = [], 0
for batch in (4, 8):
    kept = model.fit(x, 2 * x, batch_size=8, epochs=2, verbose=2).history
    for epoch in range(2):
        step += 10
        rows.append({"step": step, **{name: kept[name][epoch] for name in kept}})
    loss, mae = model.evaluate(x, 2 * x, batch_size=batch, verbose=2)
    rows.append({"step": step, "eval/loss": loss, "eval/mae": mae})
json.dump({"log_history": rows}, open("truth.json", "w"))
"""
)

# Two tables whose epochs begin at 0, and bars between their rows.
FASTAI = """
import json, torch
from fastai.data.all import DataLoaders
from fastai.learner import Learner
from fastai.callback.all import *
from fastai.metrics import accuracy
torch.manual_seed(0)
x = torch.randn(240, 4)
pairs = list(zip(x, (x[:, 0] > 0).long()))
net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
learner = Learner(DataLoaders.from_dsets(pairs[:180], pairs[180:], bs=30), net,
                  loss_func=torch.nn.CrossEntropyLoss(), metrics=accuracy)
rows = []
for epochs in (1, 3):
    learner.fit(epochs)
    for values in learner.recorder.values:
        rows.append({"step": len(rows), **dict(zip(("train_loss", "valid_loss", "accuracy"),
                    map(float, values)))})
json.dump({"log_history": rows}, open("truth.json", "w"))
"""

OPTUNA = """
import json, optuna
study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
study.optimize(lambda trial: trial.suggest_float("x", -5, 5) ** 2, n_trials=6)
rows = [{"step": trial.number, "value": trial.value} for trial in study.trials]
json.dump({"log_history": rows}, open("truth.json", "w"))
"""

# The bar of an epoch is removed before its last state is drawn.
IGNITE = """
import json, time
from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
trainer = Engine(lambda engine, batch: time.sleep(0.02) or {"loss": 1.0})
bar = ProgressBar()
bar.attach(trainer, output_transform=lambda output: output)
rows = []
@trainer.on(Events.EPOCH_COMPLETED)
def print_scores(engine):
    loss = 3.5 - engine.state.epoch
    bar.log_message(f"Results - Epoch: {engine.state.epoch} Avg loss: {loss:.2f}")
    rows.append({"step": engine.state.iteration, "Avg_loss": loss})
trainer.run(list(range(20)), 3)
json.dump({"log_history": rows}, open("truth.json", "w"))
"""

# Records that are printed while a bar is drawn ten times a second at most, after one of the data.
TQDM = """
import json, time
from tqdm import tqdm
for _ in tqdm(range(1000), desc="Map"):
    pass
rows = []
for step in tqdm(range(60), mininterval=1):
    time.sleep(0.01)
    tqdm.write(f"train_loss {3 - step / 100:.3f}")
    rows.append({"step": step, "train_loss": 3 - step / 100})
json.dump({"log_history": rows}, open("truth.json", "w"))
"""


def read_history(folder: Path) -> Truth:
    """What truth.json keeps, as trainer_state.json does."""
    truth: Truth = {}
    for record in json.loads((folder / "truth.json").read_text())["log_history"]:
        for name, value in record.items():
            if name != "step" and isinstance(value, int | float):
                truth.setdefault(name, {})[record["step"]] = float(value)
    return truth


def read_ranks(folder: Path) -> Truth:
    """Rank 0 has the plain names."""
    truth: Truth = {}
    for rank in range(2):
        name = "loss" if not rank else f"rank{rank}/loss"
        records = json.loads((folder / f"truth{rank}.json").read_text())
        truth[name] = {record["step"]: record["loss"] for record in records}
    return truth


class Tool(NamedTuple):
    script: str
    words: tuple[str, ...] = ("{python}", "train.py")
    truth: Callable[[Path], Truth] = read_history


TOOLS = {
    "Hugging Face Trainer": Tool(HF),
    "TRL SFTTrainer": Tool(TRL),
    "Lightning, tqdm bar": Tool(LIGHTNING),
    "Lightning, Rich bar": Tool(LIGHTNING, ("{python}", "train.py", "rich")),
    "torchrun, 2 ranks": Tool(
        RANKS,
        ("{python}", "-m", "torch.distributed.run", "--nproc_per_node=2", "--tee", "3", "train.py"),
        read_ranks,
    ),
    "Keras": Tool(KERAS),
    "Stable-Baselines3 PPO": Tool(SB3),
    "LightGBM": Tool(LIGHTGBM),
    "Keras, a line an epoch": Tool(KERAS_LINES),
    "fastai": Tool(FASTAI),
    "Optuna": Tool(OPTUNA),
    "ignite": Tool(IGNITE),
    "tqdm": Tool(TQDM),
}


def record(tool: Tool, python: str, folder: Path) -> tuple[Truth, Truth, str]:
    """(the tool's truth, what genui recorded, what the tool printed)."""
    (folder / "train.py").write_text(textwrap.dedent(tool.script))
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "GENUI_HOME": str(folder / "home")}
    words = [word.format(python=python) for word in tool.words]
    printed = subprocess.run(
        words, cwd=folder, env={**os.environ, "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
    )  # fmt: skip
    if printed.returncode:
        raise RuntimeError(printed.stdout.decode(errors="replace")[-800:])
    genui = [sys.executable, "-m", "genui"]
    watch = [*genui, "watch", "-", "--name", "t"]
    subprocess.run(watch, input=printed.stdout, env=environ, check=True, capture_output=True)
    export = subprocess.run(
        [*genui, "export", "t", "--jsonl", "-"], env=environ, check=True, capture_output=True
    )
    recorded: Truth = {}
    for line in export.stdout.splitlines():
        row = json.loads(line)
        for name, value in row.items():
            if name not in ("step", "time") and isinstance(value, int | float):
                recorded.setdefault(name, {})[row["step"]] = float(value)
    return tool.truth(folder), recorded, printed.stdout.decode(errors="replace")


def find_name(name: str, recorded: Truth) -> str:
    """The recorded name of a metric: itself, or its last part, as tables print it."""
    tail = name.rpartition("/")[2]
    matches = [other for other in recorded if other in (name, tail) or other.endswith(f"/{tail}")]
    return name if name in recorded else matches[0] if len(matches) == 1 else ""


def close(value: float, truth: float) -> bool:
    """Whether `value` is `truth` as it may be printed: three significant digits or 0.001."""
    return abs(value - truth) <= max(0.006 * abs(truth), 6e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peers", default=sys.executable, help="a Python that has the tools")
    parser.add_argument("--tool", default="", help="only those whose name contains this")
    parser.add_argument("--keep", metavar="FOLDER", help="write what each tool printed there")
    args = parser.parse_args()
    for name, tool in TOOLS.items():
        if args.tool.lower() not in name.lower():
            continue
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            try:
                truth, recorded, printed = record(tool, args.peers, Path(folder))
            except (RuntimeError, subprocess.SubprocessError, OSError) as error:
                print(f"{name}: did not run: {str(error)[-300:]}")
                continue
        if args.keep:
            Path(args.keep).mkdir(parents=True, exist_ok=True)
            file = Path(args.keep) / name.lower().replace(",", "").replace(" ", "-")
            file.with_suffix(".txt").write_text(printed, newline="")
            file.with_suffix(".json").write_text(json.dumps(truth))
        print(f"{name}  ({time.perf_counter() - start:.0f} s)")
        for metric, values in truth.items():
            known = recorded.get(find_name(metric, recorded), {})
            right = sum(step in known and close(known[step], v) for step, v in values.items())
            others = len(known.keys() - values.keys())
            note = "" if right == len(values) else "  <--"
            print(f"  {metric:<32} {right} of {len(values)} steps, {others} others{note}")
        extra = set(recorded) - {find_name(metric, recorded) for metric in truth}
        print(f"  also recorded: {', '.join(sorted(extra)) or 'nothing'}")


if __name__ == "__main__":
    main()
