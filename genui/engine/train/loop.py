"""The training loop: one run from where it stands to its end, obeying its control folder."""

import math
import signal
import time
from types import FrameType

import torch

from genui.engine.device import Machine, autocast
from genui.engine.train import checkpoint
from genui.engine.train.ema import EMA
from genui.engine.train.optimizer import Optimizers, gradient_norm
from genui.engine.train.task import Task
from genui.errors import GenuiError
from genui.recipes import Recipe
from genui.runs import control
from genui.runs.layout import RunDir
from genui.runs.writer import RunWriter

PAUSE_POLL_S = 0.1
RATE_MEMORY = 0.95  # of the moving average of seconds a step


class Trainer:
    """Trains `task` for `recipe` in `run`; `train` returns the state it ended in."""

    def __init__(
        self, run: RunDir, writer: RunWriter, recipe: Recipe, task: Task, machine: Machine
    ) -> None:
        self._run, self._writer, self._recipe = run, writer, recipe
        self._task, self._machine = task, machine
        self._optimizers = Optimizers(task.model, recipe)
        self._ema = EMA(task.model, recipe.ema)
        self._step = 0  # steps done
        self._saved = -1  # step of the newest checkpoint
        self._stop = False
        self._paused = False
        self._seconds = 0.0  # a step, averaged

    def train(self) -> str:
        """Train until the budget is spent ("finished") or someone says stop ("stopped").

        Raises GenuiError where the loss is no longer finite or a checkpoint cannot be written.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._resume()
        if self._step == 0:
            self._evaluate()
            self._sample()
        while self._step < self._recipe.steps and not self._stop:
            self._obey()
            if self._stop:
                break
            if self._paused:
                time.sleep(PAUSE_POLL_S)
                continue
            self._one_step()
            self._occasions()
        if self._step >= self._recipe.steps and not self._stop:
            self._evaluate(whole=True)
        if self._saved != self._step:
            self._checkpoint()
        state = "stopped" if self._stop else "finished"
        self._writer.update(state=state, step=self._step, eta=0.0)
        self._writer.say(f"{state} at step {self._step:,} of {self._recipe.steps:,}")
        return state

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def _resume(self) -> None:
        step = checkpoint.newest_whole(self._run)
        if step is None:
            return
        averaged, raw, optimizers, _ = checkpoint.load_state(self._run, step)
        try:
            self._task.model.load_state_dict(raw)
            self._ema.model.load_state_dict(averaged)
            self._optimizers.load(optimizers)
        except (RuntimeError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise GenuiError(
                f"{self._run.checkpoint_state(step)}: does not fit this recipe ({reason})"
            ) from None
        self._step = self._saved = step
        self._writer.truncate_after(step)
        self._writer.say(f"resumed from the checkpoint at step {step:,}")

    def _obey(self) -> None:
        for command in control.poll(self._run, self._writer.say):
            if command == "stop":
                self._stop = True
            elif command == "checkpoint":
                self._checkpoint()
            elif command == "pause" and not self._paused:
                self._paused = True
                self._writer.update(state="paused")
                self._writer.say(f"paused at step {self._step:,}")
            elif command == "resume" and self._paused:
                self._paused = False
                self._writer.update(state="running")
                self._writer.say("resumed")

    def _one_step(self) -> None:
        begin = time.perf_counter()
        step, task = self._step, self._task
        # Dropout and the like draw from the global generator; seeded by step, a resumed
        # training drops exactly what an uninterrupted one would have.
        torch.manual_seed((self._recipe.seed << 32) + step)
        task.model.train()
        with autocast(self._machine):
            loss = task.loss(step)
        loss.backward()
        norm = gradient_norm(task.model.parameters(), self._recipe.grad_clip)
        value = float(loss.detach())
        if not (math.isfinite(value) and math.isfinite(norm)):
            saved = f"the checkpoint at step {self._saved:,} is whole" if self._saved > 0 else ""
            raise GenuiError(
                f"the loss became {value} at step {step + 1:,}: lower it with "
                f"--set learning_rate={self._recipe.learning_rate / 3:.1g}; {saved}".rstrip("; ")
            )
        rate = self._optimizers.step(step)
        self._ema.update(task.model, step)
        self._step = step + 1
        seconds = time.perf_counter() - begin
        keep = RATE_MEMORY if self._seconds else 0.0
        self._seconds = keep * self._seconds + (1 - keep) * seconds
        speed = task.units_per_step / self._seconds
        self._writer.log(self._step, loss=value, lr=rate, grad_norm=norm, rate=speed)
        self._writer.update(
            step=self._step,
            loss=value,
            rate=1 / self._seconds,
            unit_rate=speed,
            eta=(self._recipe.steps - self._step) * self._seconds,
        )

    def _occasions(self) -> None:
        """Evaluate, sample and checkpoint when their step has come."""
        step, recipe = self._step, self._recipe
        if step % recipe.eval_every == 0 and step < recipe.steps:
            self._evaluate()
        if step % recipe.sample_every == 0 or step == recipe.steps:
            self._sample()
        if step % recipe.checkpoint_every == 0:
            self._checkpoint()

    def _evaluate(self, whole: bool = False) -> None:
        begin = time.perf_counter()
        self._ema.model.eval()
        found = self._task.evaluate(self._ema.model, self._machine, whole)
        self._writer.log(self._step, **found)
        if "val_loss" in found:
            self._writer.update(val=found["val_loss"])
        values = ", ".join(f"{k} {v:.4f}" for k, v in found.items())
        share = "all held-out data" if whole else "evaluation"
        self._writer.say(
            f"step {self._step:,} {share}: {values} in {time.perf_counter() - begin:.1f} s"
        )

    def _sample(self) -> None:
        sample = self._task.sample(self._ema.model, self._machine)
        self._writer.save_sample(self._step, sample.suffix, sample.content)

    def _checkpoint(self) -> None:
        path = checkpoint.save(
            self._run,
            self._step,
            self._recipe,
            self._ema.model,
            self._task.model,
            self._optimizers.state(),
            self._task.extra,
        )
        self._saved = self._step
        self._writer.say(f"checkpoint {path.name}, {path.stat().st_size / 1e6:.1f} MB")
