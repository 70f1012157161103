"""The training loop: trains a run from its newest checkpoint to its end, and carries out control
commands from its folder. Several processes may train one run (`genui.engine.train.world`): each
computes its share of every step's batch, and rank 0 alone writes the run."""

import math
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from genui.base.conditions import MetricConditions, parse_condition
from genui.base.errors import GenuiError, MisuseError
from genui.base.files import remove_partial_files
from genui.base.numbers import size
from genui.engine.device import Machine, autocast
from genui.engine.train import checkpoint
from genui.engine.train.checkpoint import grow_vocabulary
from genui.engine.train.cost import Cost
from genui.engine.train.norms import NormRecorder
from genui.engine.train.optimizer import EMA, Optimizers, gradient_norm
from genui.engine.train.schedule import Budget, Schedule, Timing
from genui.engine.train.shard import Replicas, Shards, gather_module, load_whole
from genui.engine.train.task import (
    Player,
    Published,
    Share,
    Staged,
    Task,
    players_of,
)
from genui.engine.train.world import AgreedError, World
from genui.engine.utilization import DataTimer, Utilization
from genui.logs.native import read_series
from genui.recipes import Recipe
from genui.recipes.base import SEVERAL_NETWORKS
from genui.runs import control, models
from genui.runs.alerts import BLOCK, Divergence
from genui.runs.energy import EnergyMeter
from genui.runs.facts import at_step
from genui.runs.launch import check_processes
from genui.runs.layout import RunDir, fork_step, last_status
from genui.runs.norms import append_norms, rewind_norms
from genui.runs.plan import has_time_for
from genui.runs.ranks import QuietWriter, RankFile
from genui.runs.series import Floats, Steps
from genui.runs.spikes import SpikeFinder
from genui.runs.writer import RunWriter

PAUSE_POLL_S = 0.1

RANKS_EVERY = 1.0
"""Seconds between two records of the ranks."""


class Trainer:
    """Trains `task` for `recipe` in `run`.

    `start_from` is the field of run.json. If the run starts from weights that were trained for
    `step` steps, the EMA continues with the decay of that step; for new weights it starts with a
    low one. The first checkpoint of a fork is the one it continues from.
    """

    def __init__(
        self,
        run: RunDir,
        writer: RunWriter | QuietWriter,
        recipe: Recipe,
        task: Task,
        machine: Machine,
        start_from: Mapping[str, Any],
        world: World | None = None,
        shard: bool = False,
        meter: EnergyMeter | None = None,
    ) -> None:
        """With `shard` the weights are shared out over several processes.

        Raises MisuseError if a step cannot be shared out as `recipe.micro_batches` or the number
        of processes asks, or the weights cannot.
        """
        self._run, self._writer, self._recipe = run, writer, recipe
        self._task, self._machine = task, machine
        self._world = world = world or World()
        self._players = players_of(task)
        shard = shard and world.size > 1
        check_processes(recipe, world.size, shard)
        if shard:
            if len(self._players) > 1:
                raise MisuseError(f"--shard: {SEVERAL_NETWORKS}")
            self._weights: Replicas = Shards(world, task.model, recipe.ema)
        else:
            self._weights = Replicas(world, self._players)
        self._rank_file = RankFile(run, world.rank) if world.size > 1 else None
        self._record_ranks = False  # whether the ranks write a record of this step
        self._ranks_due = 0.0  # the next such step, by the monotonic clock of rank 0
        self._schedule = task.schedule if isinstance(task, Staged) else Schedule(recipe)
        self._timing = Timing(recipe)
        self._budget: Budget | None = None  # only on rank 0
        self._optimizers = Optimizers(self._players, recipe, world, self._schedule)
        decay = recipe.ema if shard or world.rank == 0 else 0.0
        self._ema = EMA(task.model, decay, self._weights.average)
        self._start_from = start_from
        # Steps that the start weights were trained for.
        self._age = int(start_from.get("age", start_from.get("step", 0)))
        self._step = 0  # steps done
        self._saved = -1  # step of the newest checkpoint
        self._signalled = 0  # the signal that asked this process to stop
        self._stop = False
        self._commanded = False  # to stop; else signalled
        self._until = parse_condition(recipe.until) if recipe.until else None
        self._reached = ""  # the condition with the value that met it; only on rank 0
        self._done = False  # all ranks know that it is met
        self._paused = False
        self.utilization = Utilization(machine)
        self._cost = Cost(writer, meter)
        self._own_loss = math.nan  # of this rank's part of the last batch
        self._spikes, self._divergence = SpikeFinder(), Divergence()
        self._alerts: list[int] = []  # the steps at which they began: the states before are kept
        if fork := fork_step(start_from):
            self._alerts.append(fork + 1)
        self._norms = self._record_norms() if isinstance(writer, RunWriter) else None

    def _record_norms(self) -> NormRecorder | None:
        """What measures the norms by layer, if the recipe asks for it."""
        recipe, say = self._recipe, self._writer.write_line
        if recipe.norms == "off":
            return None
        every = 0 if recipe.norms == "auto" else int(recipe.norms)
        norms = self._make_recorder(every, partial(append_norms, self._run))
        say(f"norms by layer: a measured step copies {size(norms.copied_bytes)} of weights")
        return norms

    def _make_recorder(
        self, every: int, write: Callable[[int, Mapping[str, float]], None]
    ) -> NormRecorder:
        modules = {player.name: player.module for player in self._players}
        say = self._writer.write_line
        return NormRecorder(modules, every, write, say, self._recipe.muon_every)

    def give_norms(self, write: Callable[[int, Mapping[str, float]], None]) -> None:
        """From now on `write` the norms by layer of each step, instead of recording them."""
        self._norms = self._make_recorder(1, write)

    def train(self) -> str:
        """Train to the last step, or to an evaluation that meets `recipe.until` ("finished"), or
        until a stop command or signal ("stopped").

        Returns that state. Raises GenuiError if the loss is no longer finite, a checkpoint cannot
        be written, the run's folder is gone, or evaluations do not give the condition's metric.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        before = last_status(self._run)
        self._cost.earlier, self._timing.spent = before.energy, before.spent
        self._load_weights()
        self._resume_plan()
        if self._step == 0:
            if self._has_time_for("evaluation"):
                self.evaluate()
            if self._has_time_for("sample"):
                self.sample()
        while self._step < self._schedule.steps and not self._stop:
            begin = time.monotonic()
            self._apply_controls()
            if self._stop or self._done:
                break
            if self._paused:
                time.sleep(PAUSE_POLL_S)
                if self._budget is not None:
                    self._budget.end += time.monotonic() - begin
                continue
            self.train_step()
            self._run_scheduled()
        if not self._stop:
            self._stop = bool(self._world.all_reduce([float(bool(self._signalled))])[0])
        why = f": {self._reached}" if self._done else ""
        if not self._stop:
            if why:
                self._mark("until", self._reached)
                self.sample()
            self.evaluate(whole=self._timing.speed.reads_all(self._recipe))
        if self._saved != self._step:
            self.write_checkpoint()
        state = "stopped" if self._stop else "finished"
        if self._stop:
            if self._commanded:
                self._mark("stop", "stopped")
            else:  # by a signal to this process, or to another one
                name = signal.Signals(self._signalled).name if self._signalled else "stopped"
                self._mark(control.SIGNALLED, name)
        self._cost.read(self._step)
        self._writer.update(state=state, step=self._step, eta=0.0, spent=self._timing.spent)
        self._writer.write_line(f"{at_step(state, self._step)} of {self._schedule.steps:,}{why}")
        return state

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled = number

    def _load_weights(self) -> None:
        """Resume from the newest checkpoint, or load the weights that the run starts from."""
        if self._world.rank == 0:
            remove_partial_files(self._run.checkpoints)  # of a trainer that was killed
        step = self._world.broadcast(lambda: checkpoint.newest_whole(self._run))
        has_records = self._world.broadcast(lambda: _has_records(self._run))
        if step is None and has_records:
            self._rewind(0)  # it was killed before its first checkpoint
            self._writer.write_line("started again: there was no checkpoint")
            self._mark(control.RESUMED, "started again without a checkpoint")
        if step is not None and step == fork_step(self._start_from) and not has_records:
            self._load_state(step)
            text = f"continues from the state of {self._start_from['run']} at step {step:,}"
            if (rate := self._optimizers.learning_rate) != self._recipe.learning_rate:
                text += f" and keeps the learning rate {rate:g}, which was set there"
            self._writer.write_line(text)
            self._mark("started", text)
        elif step is not None:
            described = self._load_state(step)
            self._rewind(step)
            self._look_back()
            changed = self._describe_change(described)
            self._writer.write_line(f"resumed from the checkpoint at step {step:,}{changed}")
            self._mark(control.RESUMED, f"resumed from the checkpoint{changed}")
        elif (start := checkpoint.load_start(self._run)) is not None:
            self._load_start(start)
            kind = "averaged weights" if start[0] is start[1] else "weights"
            source = self._start_from.get("run") or self._start_from.get("ref")
            text = f"started from the {kind} of {source} at step {self._age:,}"
            self._writer.write_line(text)
            self._mark("started", text)

    def _describe_change(self, described: Mapping[str, Any]) -> str:
        """A note for a resume on other data than those of the checkpoint; "" for the same. Raises
        GenuiError if the labels are other ones, for which the weights do not stand."""
        before, now = (each.get("labels") for each in (described, self._task.extra))
        if before and list(before) != list(now or ()):
            raise GenuiError(
                f"run {self._run.id}: its data have other labels now; restore them, or train anew"
            )
        is_other = checkpoint.has_other_data(described, self._task.extra)
        return "; its data have changed since, so the losses are of other data" if is_other else ""

    def restore(self, step: int) -> None:
        """Go back to a step whose state the run keeps, or to its start (0), to compute its steps
        again with `train_step`. Nothing is written.

        Raises GenuiError if the state is damaged or does not fit the recipe.
        """
        self._follow_plan()
        if step:
            self._load_state(step)
        elif (start := checkpoint.load_start(self._run)) is not None:
            self._load_start(start)

    def set_learning_rate(self, value: float) -> None:
        """Change the base learning rate without recording it."""
        self._optimizers.learning_rate = value

    def _load_state(self, step: int) -> dict[str, Any]:
        """Load a checkpoint with its state; returns its metadata."""
        averaged, raw, optimizers, described = checkpoint.load_state(self._run, step)
        path = self._run.checkpoint_state(step)
        self._load(path, averaged, raw)
        try:
            self._optimizers.load(optimizers)
        except (KeyError, ValueError) as error:
            raise _misfit(path, error) from None
        rate = self._recipe.learning_rate
        if described["recipe"].get("learning_rate") != rate:  # of the run that this one forks
            self._optimizers.learning_rate = rate
        self._step = self._saved = step
        return described

    def _load_start(self, start: tuple[dict[str, Tensor], dict[str, Tensor]]) -> None:
        averaged, raw = (grow_vocabulary(tensors, self._task.model) for tensors in start)
        self._load(models.start_files(self._run)[0], averaged, raw)

    def _follow_plan(self) -> None:
        """Plan the number of steps as the run did before, to keep to its budget of time."""
        if self._recipe.minutes:
            for step, steps in self._world.broadcast(lambda: control.planned_steps(self._run)):
                self._schedule.change(step, steps)

    def _look_back(self) -> None:
        """Find the alerts of a run that resumes, from the losses that it has logged."""
        name = self._players[0].metric("loss")
        if self._world.rank == 0 and name in (series := read_series(self._run)):
            steps, values = series[name].steps, series[name].values
            for at in range(0, len(steps), BLOCK):  # no block hides the alert of another
                self._look_for_alerts(steps[at : at + BLOCK], values[at : at + BLOCK])

    def _look_for_alerts(self, steps: Steps, losses: Floats) -> None:
        """Note the steps [N] of at most a block at which the loss jumps or begins to diverge."""
        for step, loss in zip(steps.tolist(), losses.tolist(), strict=True):
            if self._spikes.add(loss) is not None:
                self._alerts.append(step)
        if change := self._divergence.take(steps, losses):
            self._alerts.append(change.began)

    def _resume_plan(self) -> None:
        """Plan the number of steps as the run did before, and begin to count its time."""
        recipe, schedule = self._recipe, self._schedule
        self._follow_plan()
        if not recipe.minutes:
            return
        self._writer.update(steps=schedule.steps)
        if self._world.rank == 0:
            self._budget = Budget(recipe, schedule, self._step)

    def _new_steps(self) -> int:
        """The number of steps that keeps to the budget of time, if it changes now; else 0. The plan
        stays up to the last change that a killed trainer recorded."""
        if self._budget is None or self._step <= self._schedule.changed:
            return 0
        return self._budget.plan(self._recipe, self._schedule, self._step, self._timing.speed)

    def _change_steps(self, steps: int) -> None:
        """Spread the rest of the schedule over another number of steps."""
        text = f"{self._schedule.steps:,} → {steps:,} steps, to keep to the budget of time"
        self._schedule.change(self._step, steps)
        self._writer.update(steps=steps)
        self._writer.write_line(f"step {self._step:,} {text}")
        self._mark(control.PLANNED, text)

    def _rewind(self, step: int) -> None:
        """Let readers of the metrics drop values that were logged after `step`."""
        self._writer.truncate_after(step)
        if self._rank_file:
            self._rank_file.truncate_after(step)
        if self._world.rank == 0:
            rewind_norms(self._run, step)

    def _load(self, path: Path, averaged: dict[str, Tensor], raw: dict[str, Tensor]) -> None:
        try:
            # First: without an average it is the model.
            load_whole(self._ema.model, averaged)
            load_whole(self._task.model, raw)
        except RuntimeError as error:
            raise _misfit(path, error) from None

    def _agree(self) -> list[control.Control]:
        """The commands that all ranks carry out now: those that rank 0 has read.

        Also changes the number of steps, if a budget of time asks for it, and agrees whether to
        stop, since a signal may reach any rank, and whether the ranks write a record of the next
        step. Raises GenuiError if the run's folder was removed.
        """
        world, due = self._world, False
        if world.rank == 0:
            if not self._run.path.is_dir():
                raise GenuiError(
                    f"{self._run.path}: the run's folder is gone, so its training ends"
                )
            due = world.size > 1 and time.monotonic() >= self._ranks_due
            if due:
                self._ranks_due = time.monotonic() + RANKS_EVERY
        # The energy follows a record of the ranks.
        spent = self._cost.own if self._record_ranks and world.rank else {}
        read = control.poll(self._run, self._writer.write_line) if world.rank == 0 else []
        commands: list[tuple[control.Command, float | None]]
        commands = [(each.command, each.value) for each in read]
        everyone = world.all_gather(
            (self._signalled, due, bool(self._reached), self._new_steps(), commands, spent)
        )
        if self._record_ranks:
            self._cost.take_others(each[-1] for each in everyone)
        self._stop = any(signalled for signalled, *_ in everyone)
        _, self._record_ranks, self._done, steps, agreed, _ = everyone[0]
        if steps:
            self._change_steps(steps)
        return [control.Control(*command) for command in agreed]

    def _apply_controls(self) -> None:
        """Carry out the commands given since the last step, in order. Raises as `_agree`."""
        for request in self._agree():
            match request.command:
                case "stop":
                    self._stop = self._commanded = True
                case "checkpoint":
                    self.write_checkpoint()
                    self._mark("checkpoint", "checkpoint written")
                case "evaluate":
                    values = self.evaluate()
                    self.sample()
                    self._mark("evaluate", values)
                case "set_lr" if request.value is not None:
                    self._set_lr(request.value)
                case "pause" if not self._paused:
                    self._paused = True
                    self._writer.update(state="paused")
                    self._writer.write_line(at_step("paused", self._step))
                    self._mark("pause", "paused")
                case "resume" if self._paused:
                    self._paused = False
                    self._writer.update(state="running")
                    self._writer.write_line("resumed")
                    self._mark("resume", "resumed")

    def _set_lr(self, value: float) -> None:
        """Change the base learning rate; the schedule keeps its shape.

        Also writes a checkpoint, so that a run killed later resumes with this rate, and one that
        diverges with it can go back to just before the change.
        """
        old, self._optimizers.learning_rate = self._optimizers.learning_rate, value
        self.write_checkpoint()
        due = self._optimizers.due(self._step)
        self._writer.log(self._step, lr=due)
        text = f"learning rate {old:g} → {value}"  # in full, to compute these steps again
        if self._recipe.muon_rate:
            ratio = self._recipe.muon_rate / self._recipe.learning_rate
            text += f", Muon's {old * ratio:g} → {value * ratio:g}"
        self._writer.write_line(f"step {self._step:,} {text}; {due:g} is due now by the schedule")
        self._mark("set_lr", text)

    def _mark(self, event: str, text: str) -> None:
        if self._world.rank == 0:
            control.record(self._run, self._step, event, text)

    def train_step(self) -> None:
        begin, waited = time.perf_counter(), self._world.waited
        step, task = self._step, self._task
        # Dropout uses the global generator. It is seeded by the step, so that a resumed training
        # has the same random numbers as an uninterrupted one.
        torch.manual_seed((self._recipe.seed << 32) + step)
        task.model.train()
        stages = getattr(self._recipe, "stages", ())
        self.utilization.begin(step, [self._schedule.step_at(stage.first) for stage in stages[1:]])
        metrics: dict[str, float] = {}
        if self._norms is not None:
            self._norms.begin(step + 1)
        with DataTimer() as data:
            for player in self._players:
                metrics |= self._optimize(player)
        rate = self._optimizers.due(step)
        self._ema.update(step + self._age)
        self._step = step + 1
        seconds = time.perf_counter() - begin
        if self._norms is not None:
            self._norms.finish(step + 1, seconds)
        self._timing.add_step(seconds, data.seconds)
        times, schedule = self._timing.speed, self._schedule
        if self.utilization.counter is not None:
            self._writer.write_line(self.utilization.finish())
        speed = task.units_per_step / times.step
        self._cost.read_if_due(self._step)
        self._writer.log(self._step, **metrics, lr=rate, rate=speed, step_seconds=seconds)
        loss = metrics[self._players[0].metric("loss")]
        self._look_for_alerts(np.array([self._step]), np.array([loss]))
        self._writer.update(
            step=self._step,
            loss=loss,
            steps_per_s=1 / times.step,
            units_per_s=speed,
            mfu=self.utilization.share(times.step),
            spent=self._timing.spent,
            eta=(schedule.steps - self._step) * times.step
            + times.pauses(self._recipe, schedule.place(self._step)),
        )
        if self._rank_file and self._record_ranks:
            waited = self._world.waited - waited
            self._rank_file.log(
                self._step,
                loss=self._own_loss,
                step_seconds=seconds - waited,
                wait_seconds=waited,
                memory=psutil.Process().memory_info().rss,
            )

    def _optimize(self, player: Player) -> dict[str, float]:
        """One optimiser step of one player; returns the metrics to log.

        Raises GenuiError if its loss or gradient is not finite.
        """
        for other in self._players:
            other.module.requires_grad_(other is player)
        metrics = self._backward(player)
        value = metrics[player.metric("loss")]
        norm = gradient_norm(player.module.parameters(), self._recipe.grad_clip)
        metrics[player.metric("grad_norm")] = norm
        if not (math.isfinite(value) and math.isfinite(norm)):
            # Logged before raising, so that the curve shows where it diverged.
            self._writer.log(self._step + 1, **metrics)
            raise self._diverged(player, value, norm)
        if self._norms is not None:
            self._norms.before_update(player.name)
        self._optimizers.step(self._step, player)
        if self._norms is not None:
            self._norms.after_update(player.name)
        return metrics

    def _backward(self, player: Player) -> dict[str, float]:
        """The gradients of a player's loss, and the loss with the player's metrics. Each rank
        computes its part of the batch, in as many parts as the recipe asks for."""
        world, recipe, step = self._world, self._recipe, self._step
        parts, place = recipe.micro_batches, self._players.index(player)
        shares = [Share(world.rank * parts + i, world.size * parts) for i in range(parts)]
        sums: dict[str, float] = {}
        for share in shares:
            if share.count > 1:  # dropout: another one of each part
                seed = np.random.SeedSequence((recipe.seed, step, place, share.index))
                torch.manual_seed(int(seed.generate_state(1, np.uint64)[0]))
            counting = nullcontext() if world.rank else self.utilization.counting()
            with self._weights.adding(player, share is shares[-1]), counting:
                with autocast(self._machine):
                    loss = self._weights.compute(player, partial(player.loss, step, share))
                world.backward(loss)
            weight = share.part_of(recipe.batch)
            values = {name: value * weight for name, value in player.metrics().items()}
            for name, value in {player.metric("loss"): float(loss.detach()), **values}.items():
                sums[name] = sums.get(name, 0.0) + value
        self._weights.finish()
        if place == 0:
            own = sum(share.part_of(recipe.batch) for share in shares)
            self._own_loss = sums[player.metric("loss")] / own
        return dict(zip(sums, world.all_reduce(list(sums.values())), strict=True))

    def _diverged(self, player: Player, loss: float, norm: float) -> GenuiError:
        whose = f"{player.name}'s " if player.name else ""
        broken = f"gradient norm became {norm}" if math.isfinite(loss) else f"loss became {loss}"
        where = ""
        if self._world.size > 1:
            broke = self._world.all_gather(not math.isfinite(self._own_loss))
            ranks = ", ".join(str(rank) for rank, is_broken in enumerate(broke) if is_broken)
            where = f" in the part of rank {ranks}" if ranks else ""
        lower = f"--set learning_rate={self._optimizers.learning_rate / 3:.1g}"
        remedy = f"train again with {lower}"
        if self._saved >= 0:
            remedy = (
                f"genui resume {self._run.id} {lower} continues at a lower rate from the "
                f"checkpoint at step {self._saved:,}"
            )
        return AgreedError(f"the {whose}{broken} at step {self._step + 1:,}{where}: {remedy}")

    def _run_scheduled(self) -> None:
        """Evaluate, sample and write a checkpoint at the steps of the recipe."""
        step, recipe, passes = self._step, self._recipe, self._schedule.passes
        is_last = step == self._schedule.steps
        if passes(step, recipe.eval_every) and not is_last and self._has_time_for("evaluation"):
            self.evaluate()
        is_due = passes(step, recipe.sample_every) or step in recipe.first_samples
        if is_last or (is_due and self._has_time_for("sample")):
            self.sample()
        if passes(step, recipe.checkpoint_every) and self._has_time_for("checkpoint"):
            self.write_checkpoint()

    def _has_time_for(self, part: str) -> bool:
        """Whether a budget of time allows a part of the training beside its steps."""
        if self._budget is None or self._world.size > 1:  # others would wait for rank 0
            return True
        return has_time_for(getattr(self._timing.speed, part), self._budget.left)

    def evaluate(self, whole: bool = False) -> str:
        """Evaluate on held-out data, log the metrics, and return them as text. Rank 0 does it; the
        others wait at the next step."""
        begin = time.perf_counter()
        with gather_module(self._ema.model, self._world.rank) as model:
            if model is None:
                return ""
            with self._timing.measuring("whole" if whole else "evaluation"):
                metrics = self._task.evaluate(model.eval(), self._machine, whole)
        self._writer.log(self._step, **metrics)
        if "val_loss" in metrics:
            self._writer.update(val=metrics["val_loss"])
        values = ", ".join(f"{k} {v:.4f}" for k, v in metrics.items())
        share = "all held-out data" if whole else "evaluation"
        self._writer.write_line(
            f"step {self._step:,} {share}: {values} in {time.perf_counter() - begin:.1f} s"
        )
        if self._until is not None:
            self._check_until(self._until, metrics)
        return values

    def _check_until(self, until: MetricConditions, metrics: Mapping[str, float]) -> None:
        """Note whether an evaluation meets the conditions. Raises MisuseError if it does not give
        a metric."""
        if not until.keys.keys() <= metrics.keys():
            raise MisuseError(
                f"until={until.text}: evaluations of this run give {', '.join(metrics)}"
            )
        values = ", ".join(
            f"{name if len(until.keys) > 1 else 'it'} is {metrics[name]:.4f}" for name in until.keys
        )
        self._reached = f"until {until.text}: {values}" if until.matches(metrics) else ""

    def sample(self) -> None:
        with gather_module(self._ema.model, self._world.rank) as model:
            if model is None:
                return
            with self._cost.sampling(self._step) as drawn, self._timing.measuring("sample"):
                drawn += self._task.sample(model, self._machine)
                for sample in drawn:
                    self._writer.save_sample(self._step, sample.suffix, sample.content)

    @property
    def state_bytes(self) -> int:
        """The size of a checkpoint with its state."""
        modules = (self._ema.model, self._task.model)
        tensors = [value for module in modules for value in module.state_dict().values()]
        tensors += self._optimizers.state().values()
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def go_to(self, step: int) -> None:
        """Continue with another step, to measure it."""
        self._step = step

    def write_checkpoint(self) -> None:
        """Write a checkpoint of this step into the run's folder: rank 0, from what all have."""
        with self._timing.measuring("checkpoint"):
            path = checkpoint.save(
                self._run,
                self._step,
                self._recipe,
                self._ema.model,
                self._task.model,
                self._optimizers.state(),
                self._task.extra,
                writes=self._world.rank == 0,
                alerts=self._alerts,
            )
        self._saved = self._step
        if self._world.rank:
            return
        if isinstance(self._task, Published):
            self._task.publish(self._run, self._step)
        self._writer.write_line(f"checkpoint {path.name}, {path.stat().st_size / 1e6:.1f} MB")


def _has_records(run: RunDir) -> bool:
    """Whether an earlier trainer has logged metrics."""
    return run.metrics.exists() and run.metrics.stat().st_size > 0


def _misfit(path: Path, error: Exception) -> GenuiError:
    reason = str(error).splitlines()[0]
    return GenuiError(f"{path}: does not fit this recipe ({reason})")
