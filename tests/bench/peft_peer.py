"""The run of bench_finetune.py by peft and transformers: `python peft_peer.py FOLDER`.

FOLDER has the model (`model`), the adapter to begin with (`adapter`), the batches (`batches.npz`)
and the settings (`settings.json`). Prints a JSON line for each step. Imports nothing of genui.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

folder = Path(sys.argv[1])
settings = json.loads((folder / "settings.json").read_text())
torch.set_num_threads(settings["threads"])
half = settings["precision"] == "bf16"
base = AutoModelForCausalLM.from_pretrained(
    folder / "model", dtype=torch.bfloat16 if half else torch.float32
)
model = PeftModel.from_pretrained(base, str(folder / "adapter"), is_trainable=True)
model.train()
batches = np.load(folder / "batches.npz")
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(
    trained,
    lr=settings["learning_rate"],
    betas=(settings["beta1"], settings["beta2"]),
    weight_decay=settings["weight_decay"],
)
for step, factor in enumerate(settings["factors"]):
    begin, cpu = time.perf_counter(), time.process_time()
    tokens = torch.from_numpy(batches[f"tokens{step}"])
    targets = torch.from_numpy(batches[f"targets{step}"])
    # transformers shifts labels itself: label t + 1 is the target of token t.
    labels = torch.cat((torch.full_like(targets[:, :1], -100), targets), dim=1)
    last = torch.zeros_like(tokens[:, :1])
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = model(input_ids=torch.cat((tokens, last), dim=1), labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, settings["grad_clip"])
    for group in optimizer.param_groups:
        group["lr"] = settings["learning_rate"] * factor
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu
    print(json.dumps([float(loss.detach()), seconds, cpu_seconds]), flush=True)
