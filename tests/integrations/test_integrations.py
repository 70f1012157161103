"""The callbacks and loggers, each with the real library; what the library keeps is the truth.

A library that is not installed skips its tests. Transformers and Accelerate are installed for
development; for the others: pip install lightning keras stable-baselines3.
"""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import genui
from genui.logs.native import MetricsTail
from genui.runs import api, control
from genui.runs.batches import batch_steps
from genui.runs.control import read_events
from genui.runs.layout import RunDir, read_info, read_status
from genui.runs.listing import list_runs
from genui.runs.media import Notes


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(api, "_notes", Notes())
    yield
    genui.finish()
    api._process.current = None


def only_run() -> RunDir:
    (summary,) = list_runs()
    return summary.run


def points(run: RunDir) -> dict[str, dict[int, float]]:
    """Every value by metric and step."""
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    return {
        name: dict(zip(series.points[0].tolist(), series.points[1].tolist(), strict=True))
        for name, series in tail.series.items()
    }


def request(run: genui.Run, command: Any, value: float | None = None) -> None:
    """A command from outside, read now and not at the next heartbeat."""
    assert run._writer is not None
    control.send(RunDir(Path(run.dir)), command, value)
    run._poll_control(run._writer)


# --- Hugging Face -----------------------------------------------------------------------------


def hf_trainer(folder: Path, callback: Any, **more: Any) -> Any:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            return {"loss": ((self.layer(x) - labels) ** 2).mean()}

    data = [{"x": torch.tensor([i / 10]), "labels": torch.tensor([i / 5])} for i in range(40)]
    arguments = transformers.TrainingArguments(
        str(folder),
        **{
            "max_steps": 30,
            "logging_steps": 5,
            "eval_strategy": "steps",
            "eval_steps": 10,
            "use_cpu": True,
            "report_to": "none",
            "disable_tqdm": True,
            "learning_rate": 0.01,
            **more,
        },
    )
    return transformers.Trainer(
        Line(), arguments, train_dataset=data, eval_dataset=data[:8], callbacks=[callback]
    )


@pytest.fixture
def hugging_face(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from genui.integrations import huggingface

    return huggingface


def test_a_hugging_face_trainer_logs_what_its_state_keeps(hugging_face: Any, tmp_path: Path):
    callback = hugging_face.GenuiCallback(
        sample=lambda model: {"weight": f"{model.layer.weight.item():.3f}"}, project="line"
    )
    trainer = hf_trainer(tmp_path, callback)
    trainer.train()
    trainer.evaluate(metric_key_prefix="test")
    genui.finish()
    run = only_run()
    truth: dict[str, dict[int, float]] = {}
    for record in trainer.state.log_history:
        for name, value in record.items():
            if name != "step":
                truth.setdefault(name, {})[record["step"]] = value
    assert points(run) == truth
    assert "test_loss" in truth
    assert sorted(path.name for path in run.samples.iterdir()) == [
        f"step-{step:08d}.txt" for step in (10, 20, 30)
    ]
    assert read_info(run).config["learning_rate"] == 0.01
    assert read_status(run).state == "finished"


def test_a_hugging_face_trainer_keeps_its_last_batches(hugging_face: Any, tmp_path: Path):
    callback = hugging_face.GenuiCallback(batch=lambda inputs: [str(inputs["x"][0].tolist())])
    trainer = hf_trainer(tmp_path, callback, logging_steps=1, max_steps=12)
    trainer.train()
    genui.finish()
    run = only_run()
    assert batch_steps(run.batches)[-1] == 12
    assert (run.batches / "step-00000012.txt").read_text().startswith("[")
    assert not trainer.model._forward_pre_hooks


def test_a_hugging_face_trainer_is_steered(hugging_face: Any, tmp_path: Path):
    class Steered(hugging_face.GenuiCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 7:
                request(self._run, "set_lr", 0.5)
            if state.global_step == 12:
                request(self._run, "stop")
            super().on_step_end(args, state, control, **kwargs)

    trainer = hf_trainer(tmp_path, Steered(), lr_scheduler_type="constant", logging_steps=1)
    trainer.train()
    run = only_run()
    rates = points(run)["learning_rate"]
    assert trainer.state.global_step == 12
    assert rates[7] == 0.01
    assert rates[9] == rates[12] == 0.5
    assert [event.text for event in read_events(run)] == ["learning rate → 0.5"]
    genui.finish()
    assert read_status(run).state == "stopped"


def test_all_ranks_of_a_hugging_face_trainer_do_what_rank_0_is_asked(
    hugging_face: Any, monkeypatch: pytest.MonkeyPatch
):
    def broadcast(request: list[Any]) -> list[Any]:
        request[:] = True, 0.25
        return request

    monkeypatch.setattr(hugging_face, "broadcast_object_list", broadcast)
    rank = hugging_face.GenuiCallback(project="line")
    args = SimpleNamespace(world_size=2)
    control = SimpleNamespace(should_training_stop=False)
    group = {"lr": 0.1, "initial_lr": 0.1}
    tools = {
        "optimizer": SimpleNamespace(param_groups=[group]),
        "lr_scheduler": SimpleNamespace(base_lrs=[0.1]),
    }
    for step in range(1, hugging_face.SHARED_EVERY):
        rank.on_step_end(args, SimpleNamespace(global_step=step), control, **tools)
    assert (control.should_training_stop, group["lr"]) == (False, 0.1)
    state = SimpleNamespace(global_step=hugging_face.SHARED_EVERY)
    rank.on_step_end(args, state, control, **tools)
    assert (control.should_training_stop, group["lr"]) == (True, 0.25)


def test_an_accelerator_logs_through_the_tracker():
    accelerate = pytest.importorskip("accelerate")
    from genui.integrations.accelerate import GenuiTracker

    accelerator = accelerate.Accelerator(cpu=True, log_with=GenuiTracker("mine", name="first"))
    accelerator.init_trackers("mine", config={"lr": 0.1})
    for step in range(5):
        batch = {"genui": {"batch": [f"text {step}"]}}
        accelerator.log({"loss": 1 / (step + 1)}, step=step * 10, log_kwargs=batch)
    accelerator.end_training()
    run = only_run()
    assert points(run) == {"loss": {step * 10: 1 / (step + 1) for step in range(5)}}
    info = read_info(run)
    assert (info.name, info.project, info.config["lr"]) == ("first", "mine", 0.1)
    assert batch_steps(run.batches) == [0, 10, 20, 30, 40]


# --- Lightning --------------------------------------------------------------------------------


def test_a_lightning_trainer_logs_what_its_csv_keeps_and_stops(tmp_path: Path):
    lightning = pytest.importorskip("lightning")
    torch = pytest.importorskip("torch")
    from lightning.pytorch.loggers import CSVLogger

    from genui.integrations.lightning import GenuiLogger, GenuiSteering

    class Line(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters({"lr": 0.1})
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = ((self.layer(batch) - 2 * batch) ** 2).mean()
            self.log("loss", loss)
            if self.global_step == 25:
                request(logger.experiment, "stop")
            return loss

        def test_step(self, batch: Any, index: int) -> None:
            self.log("test_loss", batch.mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    logger, truth = GenuiLogger(project="line"), CSVLogger(tmp_path)
    trainer = lightning.Trainer(
        max_steps=100,
        logger=[logger, truth],
        callbacks=[GenuiSteering(logger, batch=lambda batch: [str(batch.tolist())])],
        log_every_n_steps=5,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    data = torch.utils.data.DataLoader(torch.rand(40, 1), batch_size=2)
    trainer.fit(Line(), data)
    trainer.test(Line(), data, verbose=False)
    genui.finish()
    with open(Path(truth.log_dir) / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    run = only_run()
    losses = points(run)["loss"]
    assert losses == pytest.approx(
        {int(row["step"]): float(row["loss"]) for row in rows if row["loss"]}
    )
    assert len(points(run)["test_loss"]) == 1
    assert len(batch_steps(run.batches)) >= 3
    assert 25 <= trainer.global_step < 100
    assert read_info(run).config == {"lr": 0.1}
    assert read_status(run).state == "stopped"


def test_lightning_keeps_a_new_learning_rate_beside_a_schedule_and_says_why_it_failed():
    lightning = pytest.importorskip("lightning")
    torch = pytest.importorskip("torch")
    from genui.integrations.lightning import GenuiLogger, GenuiSteering

    class Line(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            self.log("rate", self.optimizers().param_groups[0]["lr"])
            if self.global_step == 4:
                request(logger.experiment, "set_lr", 0.5)
            if self.global_step == 10:
                raise ValueError("a bad batch")
            return self.layer(batch).mean()

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    logger = GenuiLogger(project="line")
    trainer = lightning.Trainer(
        max_steps=20,
        logger=logger,
        callbacks=[GenuiSteering(logger)],
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    data = torch.utils.data.DataLoader(torch.rand(40, 1), batch_size=2)
    with pytest.raises(ValueError, match="a bad batch"):
        trainer.fit(Line(), data)
    rates = points(only_run())["rate"]
    assert (rates[3], rates[6], rates[9]) == pytest.approx((0.1, 0.5, 0.5))
    status = read_status(only_run())
    assert (status.state, status.error) == ("failed", "ValueError: a bad batch")


# --- Keras ------------------------------------------------------------------------------------


def test_keras_logs_what_its_csv_keeps_and_is_steered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    import numpy as np

    from genui.integrations.keras import GenuiCallback

    class Steered(GenuiCallback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)
            if epoch == 1:
                request(self._run, "set_lr", 0.25)
            if epoch == 2:
                request(self._run, "stop")

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.linspace(0, 1, 40)[:, None]
    truth = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    model.fit(
        x,
        2 * x,
        batch_size=10,
        epochs=9,
        verbose=0,
        validation_split=0.2,
        callbacks=[Steered(project="line"), truth],
    )
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    logged = points(only_run())
    steps = sorted(logged["epoch"])
    assert steps[:3] == [4, 8, 12]  # batches of an epoch: 80 % of 40 examples, 10 each
    for name in ("loss", "val_loss"):
        assert [logged[name][step] for step in steps] == [float(row[name]) for row in rows]
    assert float(model.optimizer.learning_rate) == 0.25
    assert read_status(only_run()).state == "stopped"


def test_keras_with_a_schedule_takes_no_learning_rate(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    import numpy as np

    from genui.integrations.keras import GenuiCallback

    class Steered(GenuiCallback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                request(self._run, "set_lr", 0.25)

    model = keras.Sequential([keras.layers.Dense(1)])
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model.compile(keras.optimizers.SGD(schedule), "mse")
    x, callback = np.linspace(0, 1, 40)[:, None], Steered(project="line")
    for _ in range(2):  # each has a run of its own
        model.fit(x, 2 * x, batch_size=10, epochs=2, verbose=0, callbacks=[callback])
    first, second = (one.run for one in list_runs())
    assert sorted(points(first)["loss"]) == sorted(points(second)["loss"]) == [4, 8]
    assert read_info(first).controls == ("stop",)


# --- Stable-Baselines3 ------------------------------------------------------------------------


def test_stable_baselines3_logs_what_its_json_keeps_and_stops(tmp_path: Path):
    sb3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.logger import JSONOutputFormat, Logger

    from genui.integrations.stable_baselines3 import GenuiCallback, GenuiWriter

    run = genui.init(project="cartpole")

    class Steered(GenuiCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps == 150:
                request(run, "stop")
            return super()._on_step()

    path = os.fspath(tmp_path / "progress.json")
    model = sb3.PPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=32, device="cpu")
    model.set_logger(Logger(None, [GenuiWriter(run), JSONOutputFormat(path)]))
    model.learn(10_000, callback=Steered(run), log_interval=1)
    records = [json.loads(line) for line in Path(path).read_text().splitlines()]
    truth: dict[str, dict[int, float]] = {}
    for record in records:
        for name, value in record.items():
            truth.setdefault(name, {})[record["time/total_timesteps"]] = value
    logged = points(RunDir(Path(run.dir)))
    assert logged.keys() == truth.keys()
    for name, values in truth.items():
        assert logged[name] == pytest.approx(values), name
    assert model.num_timesteps == 150
    run.finish()
    assert read_status(RunDir(Path(run.dir))).state == "stopped"
