"""What the benches run beside genui: short scripts in another interpreter, and the same log as each
tool writes it.

A script takes one argument, a job as JSON, and prints one JSON line.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import harness  # noqa: F401 - finds genui

from genui.base.calls import run_program
from genui.base.errors import GenuiError
from genui.cli.bench import last_line

# --- Scripts ----------------------------------------------------------------------------------

TRANSFORMERS = """
import json, sys, time, torch
from transformers import LlamaConfig, LlamaForCausalLM
job = json.loads(sys.argv[1])
torch.set_num_threads(job["threads"])
config = LlamaConfig(
    vocab_size=job["vocab_size"], hidden_size=job["width"], num_hidden_layers=job["layers"],
    intermediate_size=8 * job["width"] // 3, num_attention_heads=job["heads"],
    max_position_embeddings=job["tokens"] + 16, eos_token_id=None)
model = LlamaForCausalLM(config).eval()
ids = torch.ones(1, 6, dtype=torch.long)
options = dict(attention_mask=torch.ones_like(ids), do_sample=True, pad_token_id=0)
with torch.inference_mode():
    model.generate(ids, max_new_tokens=8, **options)
    begin = time.perf_counter()
    model.generate(ids, min_new_tokens=job["tokens"], max_new_tokens=job["tokens"], **options)
seconds = (time.perf_counter() - begin) / job["tokens"]
print(json.dumps({"value": seconds, "parameters": model.num_parameters()}))
"""
"""Seconds of a token of `generate` of a Llama of the same sizes, with random weights."""

DIFFUSERS = """
import json, statistics, sys, time, torch
from diffusers import UNet2DConditionModel
job = json.loads(sys.argv[1])
torch.set_num_threads(job["threads"])
def build(width, device):
    with torch.device(device):
        return UNet2DConditionModel(
            sample_size=32, in_channels=3, out_channels=3, layers_per_block=1,
            block_out_channels=(width, 2 * width, 2 * width), cross_attention_dim=192,
            attention_head_dim=8, norm_num_groups=16,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"))
def count(width):
    return sum(p.numel() for p in build(width, "meta").parameters())
width = min((16, 32, 48, 64, 80, 96, 128), key=lambda w: abs(count(w) - job["parameters"]))
device = job["device"]
model = build(width, "cpu").to(device).train()
optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
B = job["batch"]
x, words = torch.randn(B, 3, 32, 32, device=device), torch.randn(B, 8, 192, device=device)
def step():
    noise, t = torch.randn_like(x), torch.randint(0, 1000, (B,), device=device)
    a = torch.rand(B, 1, 1, 1, device=device)
    with torch.autocast(device, torch.bfloat16, enabled=job["precision"] == "bf16"):
        guess = model(a * x + (1 - a) * noise, t, words).sample
        loss = torch.nn.functional.mse_loss(guess.float(), noise)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())
step()
times, end = [], time.perf_counter() + job["seconds"]
while len(times) < 3 or time.perf_counter() < end:
    begin = time.perf_counter()
    step()
    times.append(time.perf_counter() - begin)
parameters = sum(p.numel() for p in model.parameters())
print(json.dumps({"value": B / statistics.median(times), "parameters": parameters}))
"""
"""Images per second of training a UNet2DConditionModel of about as many parameters."""

NANOGPT = """
import json, statistics, sys, time, torch
job = json.loads(sys.argv[1])
sys.path.insert(0, job["folder"])
from model import GPT, GPTConfig
torch.set_num_threads(job["threads"])
device, B, T = job["device"], job["batch"], job["context"]
model = GPT(GPTConfig(block_size=T, vocab_size=job["vocabulary"], n_layer=job["layers"],
                      n_head=job["heads"], n_embd=job["width"], dropout=job["dropout"], bias=False))
model.to(device)
optimizer = model.configure_optimizers(0.1, 1e-3, (0.9, 0.95), device)
x, y = (torch.randint(0, job["vocabulary"], (B, T), device=device) for _ in range(2))
def step():
    with torch.autocast(device, torch.bfloat16, enabled=job["precision"] == "bf16"):
        loss = model(x, y)[1]
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()
step()
times, end = [], time.perf_counter() + job["seconds"]
while len(times) < 3 or time.perf_counter() < end:
    begin = time.perf_counter()
    step()
    times.append(time.perf_counter() - begin)
print("\\n" + json.dumps({"value": B * T / statistics.median(times)}))
"""
"""Tokens per second of training nanoGPT's model of the same sizes, in the same precision."""

NANOGPT_ON_CPU = (
    *("config/train_shakespeare_char.py", "--device=cpu", "--compile=False", "--eval_iters=20"),
    *("--log_interval=1000", "--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4"),
    *("--n_embd=128", "--max_iters=2000", "--lr_decay_iters=2000", "--dropout=0.0"),
)
"""The training on a CPU that nanoGPT's README recommends."""

_FIND = """
import importlib.util, json, sys
names = json.loads(sys.argv[1])
print(json.dumps([name for name in names if importlib.util.find_spec(name) is None]))
"""


def ask(python: str, script: str, job: Any, timeout: float = 600) -> Any:
    """What a script prints as its last line, from JSON. Raises GenuiError, one line, if it fails
    or `python` is no interpreter."""
    printed = run_peer([python, "-c", script, json.dumps(job)], timeout)
    try:
        return json.loads(printed.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise GenuiError(f"{python}: does not answer as an interpreter of Python does") from None


def own_environment() -> dict[str, str]:
    """The environment of a peer: without the PYTHONPATH that finds genui."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run_peer(argv: list[str], timeout: float = 600) -> str:
    """What a command prints. Raises GenuiError with the last line of its errors if it fails, or
    takes longer than `timeout` seconds."""
    try:
        done = run_program(argv, timeout, own_environment())
    except subprocess.TimeoutExpired:
        raise GenuiError(f"{argv[0]}: took over {timeout:g} s") from None
    except OSError as error:
        raise GenuiError(f"{argv[0]}: {error.strerror or error}") from None
    if done.returncode:
        raise GenuiError(f"{argv[0]}: {last_line(done.stderr, done.returncode)}")
    return done.stdout


def missing_modules(python: str, names: list[str]) -> list[str]:
    """Those of the modules that an interpreter does not have. Raises GenuiError if it cannot be
    run."""
    return ask(python, _FIND, names, timeout=60)


# --- The same log of many steps, as each tool writes it ---------------------------------------

WANDB = """
import os, sys, math, random
os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=sys.argv[1])
import wandb
run = wandb.init(project="bench", settings=wandb.Settings(console="off"))
for step in range(int(sys.argv[2])):
    x = 4 * math.exp(-step / 2e4) + 1 + random.random() / 5
    run.log(dict(loss=x, val_loss=x + .1, grad_norm=random.random(), lr=3e-4, rate=5800 + x))
run.finish()
"""

TENSORBOARD = """
import sys, math, random
from torch.utils.tensorboard import SummaryWriter
with SummaryWriter(sys.argv[1], max_queue=10000) as writer:
    for step in range(int(sys.argv[2])):
        x = 4 * math.exp(-step / 2e4) + 1 + random.random() / 5
        for name, value in dict(loss=x, val_loss=x + .1, grad_norm=random.random(), lr=3e-4,
                                rate=5800 + x).items():
            writer.add_scalar(name, value, step)
"""


def peer_log(python: str, script: str, folder: Path, steps: int) -> Path:
    """A log that another tool's own library writes; made once and kept. Raises GenuiError."""
    if not folder.exists():
        folder.mkdir(parents=True)
        try:
            run_peer([python, "-c", script, str(folder), str(steps)])
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)  # half a log must not be taken for a whole
            raise
    return folder


def tensorboard(python: str, folder: Path, points: int = 900) -> float:
    """Seconds until TensorBoard serves so many points of a curve. Raises GenuiError after 60."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/data/plugin/scalars/scalars?run=.&tag=loss"
    argv = [python, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)]
    begin = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while time.perf_counter() - begin < 60:
                with suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=5) as reply:
                    if len(json.load(reply)) >= points:
                        return time.perf_counter() - begin
                time.sleep(0.02)
        finally:
            server.terminate()
    raise GenuiError("served no curve within 60 s")
