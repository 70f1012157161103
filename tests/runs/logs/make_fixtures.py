"""Writes the logs in fixtures/ with the tools they are named after. Run by hand, seldom:

    python -m venv /tmp/tools
    /tmp/tools/bin/pip install torch tensorboard wandb trackio lightning-fabric transformers
    /tmp/tools/bin/pip install mlflow-skinny
    /tmp/tools/bin/python tests/runs/logs/make_fixtures.py [NAME …]

Written with torch 2.13, tensorboard 2.21, wandb 0.31, trackio 0.43, lightning-fabric 2.6,
transformers 5.24, mlflow-skinny 3.17. What the readers must find in them is in
test_logs_fixtures.py.
"""

import contextlib
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "fixtures"
STEPS = 300  # past the steps whose varint takes one byte


def loss(step: int) -> float:
    return 2.0 / (1 + step)


def tensorboard() -> None:
    from torch.utils.tensorboard import SummaryWriter  # type: ignore[import-not-found]

    folder = HERE / "tensorboard"
    for old in (folder, HERE / "tensorboard-hparams"):
        shutil.rmtree(old, ignore_errors=True)  # SummaryWriter adds files to a folder
    with SummaryWriter(str(folder), filename_suffix=".a") as writer:
        for step in range(40):
            writer.add_scalar("train/loss", loss(step), step, walltime=1000.0 + step)
        for step in (120, 130, STEPS):
            writer.add_scalar("train/loss", loss(step), step, walltime=1000.0 + step)
            writer.add_scalar("as tensor 🙂", step, step, new_style=True, double_precision=True)
        writer.add_text("notes", "not a number", 0)
        writer.add_scalars("pair", {"a": 1.0, "b": 2.0}, 7)
        writer.add_scalar("nan", float("nan"), 3)
        writer.add_scalar("nan", float("inf"), 4)
    # A resumed training: what was logged from step 130 on is void.
    with SummaryWriter(str(folder), purge_step=130, filename_suffix=".b") as writer:
        writer.add_scalar("train/loss", 7.0, 130, walltime=2000.0)
    with SummaryWriter(str(HERE / "tensorboard-hparams")) as writer:
        writer.add_hparams({"lr": 0.1, "name": "x", "flag": True}, {"score": 0.5}, run_name=".")


def tensorboard_samples() -> None:
    """Everything but scalars that SummaryWriter writes."""
    import numpy as np
    import torch  # type: ignore[import-not-found]
    from torch.utils.tensorboard import SummaryWriter  # type: ignore[import-not-found]

    folder = HERE / "tensorboard-samples"
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder), filename_suffix=".a") as writer:
        for step in (0, 300):
            writer.add_scalar("loss", loss(step), step)
            writer.add_image("owl", np.full((3, 4, 6), step / 600, np.float32), step)
            writer.add_text("said", f"hoo at {step}", step)
            writer.add_audio("call", torch.zeros(1, 80), step, sample_rate=8000)
            writer.add_histogram("weights", np.linspace(0, 1 + step, 50), step)
            labels, scores = np.arange(20) % 2, np.linspace(0, 1, 20)
            writer.add_pr_curve("precision", labels, scores, step, num_thresholds=5)


def wandb() -> None:
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_CONSOLE="wrap")
    import wandb as tool  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as scratch:
        settings = tool.Settings(
            x_disable_stats=True, x_disable_meta=True, x_save_requirements=False
        )
        run = tool.init(project="p", dir=scratch, config={"lr": 3e-4, "model": {"dim": 64}},
                        settings=settings)  # fmt: skip
        for step in range(5):
            row: dict[str, Any] = {"loss": loss(step), "nested": {"deep": step}, "word": "text"}
            run.log({**row, "nan": float("nan"), "huge": 1e300, "x" * 200: step})
        run.log({"late": 1}, step=9)
        print("hello console")
        run.finish()
        (log,) = Path(scratch).glob("wandb/offline-run-*/run-*.wandb")
        shutil.copy(log, HERE / "run-fixture.wandb")


def wandb_whole() -> None:
    """A run with all that W&B keeps beside numbers, in fixtures/wandb."""
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_CONSOLE="wrap")
    import numpy as np
    import wandb as tool  # type: ignore[import-not-found]

    folder = HERE / "wandb"
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        settings = tool.Settings(x_save_requirements=False, x_stats_sampling_interval=0.2)
        run = tool.init(
            project="owls", name="first flight", tags=["night", "two words"], notes="a note\nmore",
            group="field", dir=scratch, config={"lr": 3e-4}, settings=settings,
        )  # fmt: skip
        run.define_metric("frame")
        run.define_metric("test/*", step_metric="frame")
        run.define_metric("acc", summary="max")
        for step in range(6):
            row: dict[str, Any] = {"loss": loss(step), "acc": step % 4}
            if step % 2 == 0:
                row.update({"frame": 100 * step, "test/f1": step / 10})
            if step in (0, 4):
                shade = np.full((4, 6, 3), 40 * step, np.uint8)
                row["pair"] = [tool.Image(shade + n, caption=f"owl {n}") for n in range(2)]
                row["one"] = tool.Image(shade)
                row["said"] = tool.Table(columns=["in", "out"], data=[["hoo", f"at {step}"]])
                row["weights"] = tool.Histogram(np_histogram=([1, 4, 2], [-1.0, 0.0, 1.0, 2.0]))
                row["call"] = tool.Audio(np.zeros(80, "f4"), sample_rate=8000, caption="a call")
            run.log(row)
            print("step", step)
            time.sleep(0.1)
        sys.stderr.write("bar 10%\rbar 20%\n")
        run.summary["best"] = {"loss": 0.5}
        run.finish()
        (log,) = Path(scratch).glob("wandb/offline-run-*/run-*.wandb")
        tool.teardown()  # the file is written then
        shutil.copytree(log.parent / "files" / "media", folder / "files" / "media")
        shutil.copy(log, folder / "run-whole.wandb")


def trackio() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.update(TRACKIO_DIR=scratch, HF_HUB_OFFLINE="1")
        import trackio as tool  # type: ignore[import-not-found]

        for name in ("first", "second"):
            tool.init(project="my project", name=name, config={"lr": 1e-3})
            for step in range(3):
                tool.log({"loss": loss(step), "nan": float("nan"), "nested": {"deep": step}})
            tool.finish()
        (database,) = Path(scratch).glob("*.db")
        with sqlite3.connect(database) as connection:
            kept = [line for line in connection.iterdump() if "sqlite_sequence" not in line]
        (HERE / "trackio.sql").write_text("\n".join(kept) + "\n")


def lightning() -> None:
    from lightning_fabric.loggers import CSVLogger  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as scratch:
        logger = CSVLogger(scratch, name="lightning_logs", flush_logs_every_n_steps=2)
        for step in range(6):
            logger.log_metrics({"epoch": step // 3, "train_loss": loss(step)}, step)
            if step % 3 == 2:
                logger.log_metrics({"epoch": step // 3, "val_loss": loss(step) / 2}, step)
        logger.save()
        (log,) = Path(scratch).rglob("metrics.csv")
        shutil.copy(log, HERE / "metrics.csv")


def trainer_state() -> None:
    from transformers.trainer_callback import TrainerState  # type: ignore[import-not-found]

    state = TrainerState(max_steps=40, num_train_epochs=2, global_step=40)
    for step in range(10, 41, 10):
        state.log_history.append({"step": step, "epoch": step / 20, "loss": loss(step)})
    state.log_history.append({"step": 40, "epoch": 2.0, "eval_loss": float("nan")})
    state.save_to_json(str(HERE / "trainer_state.json"))


def mlflow() -> None:
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow as tool  # type: ignore[import-not-found]

    folder = HERE / "mlruns"
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        tool.set_tracking_uri(f"file://{scratch}/mlruns")
        tool.set_experiment("owl: nest #1")
        with tool.start_run(run_name="quiet: owl"):
            tool.log_params({"lr": 3e-4, "model/dim": 64, "prompt": "two\nlines"})
            for step in range(30):
                tool.log_metrics({"loss": loss(step), "train/acc": step / 10}, step=step)
            tool.log_metric("not finite", float("nan"), step=3)
            tool.log_metric("not finite", float("-inf"), step=4)
        with contextlib.suppress(ZeroDivisionError), tool.start_run(run_name=" ".join("n" * 60)):
            tool.log_metric("loss", 1.0)
            raise ZeroDivisionError
        with tool.start_run(run_name="removed") as run:
            tool.log_metric("loss", 1.0)
        tool.delete_run(run.info.run_id)
        for meta in Path(scratch).rglob("meta.yaml"):
            meta.write_text(
                meta.read_text().replace(scratch, "/home/user").replace(os.getcwd(), "/home/user")
            )
        for tag in Path(scratch).rglob("mlflow.source.*"):
            tag.unlink()
        shutil.copytree(f"{scratch}/mlruns", folder, ignore=shutil.ignore_patterns(".trash", "0"))


def mlflow_database() -> None:
    """The tables that are read, of a database that MLflow makes by default."""
    import mlflow as tool  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as scratch:
        tool.set_tracking_uri(f"sqlite:///{scratch}/mlflow.db")
        experiment = tool.create_experiment(
            "owl: nest #1", artifact_location="/home/user/artifacts"
        )
        with tool.start_run(
            experiment_id=experiment, run_name="quiet: owl", description="a note",
            tags={"site": "north"},
        ):  # fmt: skip
            tool.log_params({"lr": 3e-4, "model/dim": 64})
            for step in range(30):
                tool.log_metrics({"loss": loss(step), "train/acc": step / 10}, step=step)
            tool.log_metric("not finite", float("nan"), step=3)
            tool.log_metric("not finite", float("-inf"), step=4)
        with (
            contextlib.suppress(ZeroDivisionError),
            tool.start_run(experiment_id=experiment, run_name="failed"),
        ):
            tool.log_metric("loss", 1.0)
            raise ZeroDivisionError
        with tool.start_run(experiment_id=experiment, run_name="removed") as run:
            tool.log_metric("loss", 1.0)
        tool.delete_run(run.info.run_id)
        with sqlite3.connect(f"{scratch}/mlflow.db") as connection:
            connection.execute(
                "DELETE FROM tags WHERE key IN ('mlflow.user', 'mlflow.source.name')"
            )
            read = ("experiments", "runs", "metrics", "params", "tags")
            kept = [
                line for line in connection.iterdump()
                if re.match(rf'(CREATE TABLE|INSERT INTO) "({"|".join(read)})"', line)
            ]  # fmt: skip
        (HERE / "mlflow.sql").write_text(
            "\n".join(kept).replace(scratch, "/home/user").replace(os.getcwd(), "/home/user") + "\n"
        )


WRITERS = {
    writer.__name__: writer
    for writer in (
        tensorboard,
        tensorboard_samples,
        wandb,
        wandb_whole,
        trackio,
        lightning,
        trainer_state,
        mlflow,
        mlflow_database,
    )
}

if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for name in sys.argv[1:] or WRITERS:
        WRITERS[name]()
    for path in sorted(HERE.rglob("*")):
        print(path.stat().st_size, path.relative_to(HERE))
