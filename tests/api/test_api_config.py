"""`run.config` and `run.summary`."""

import argparse
import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from api_runs import folder, said

import genui
from genui.runs.layout import read_info


@dataclasses.dataclass
class Settings:
    lr: float = 3e-4
    layers: int = 2


def test_config_is_kept_whatever_it_is_given_as():
    kept = {"lr": 3e-4, "layers": 2}
    for config in (kept, Settings(), argparse.Namespace(**kept), list(kept.items())):
        run = genui.init("config", config=config, reinit=True)
        assert run.config == kept
        assert read_info(folder(run)).config == kept


def test_config_changes_are_written_at_once():
    run = genui.init("config", config={"lr": 1})
    run.config.lr = 2
    run.config["layers"] = {"deep": 3}
    run.config.update({"lr": 4}, allow_val_change=True)
    genui.config.setdefault("seed", 5)
    genui.config.pop("seed")
    config = run.config
    config |= {"batch": 6}
    del run.config.lr
    assert read_info(folder(run)).config == {"layers": {"deep": 3}, "batch": 6}
    assert run.config.batch == genui.config["batch"] == 6
    assert not hasattr(run.config, "lr")
    assert type(copy.deepcopy(run.config)) is dict


def test_config_that_is_no_json_becomes_its_text(capsys: pytest.CaptureFixture[str]):
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    loop: dict[str, Any] = {}
    loop["self"] = loop
    config = {"path": Path("/data"), "nan": math.nan, "np": np.float32(0.5), 3: {1}, "odd": Odd(),
              "big": 2**70, "\ud800": "\ud800", "loop": loop}  # fmt: skip
    run = genui.init("odd", config=config)
    found = read_info(folder(run)).config
    assert found.pop("loop")["self"]["self"]
    assert found == {"path": "/data", "nan": "nan", "np": 0.5, "3": [1], "odd": "<Odd>",
                     "big": str(2**70), "?": "?"}  # fmt: skip
    run.config.everything = list(range(200_000))
    assert read_info(folder(run)).config == {}
    assert said(capsys) == ["genui: a config or summary over 512 KiB is left out"]
    other = genui.init("mask", config={"keep": [0, 1] * 80_000})  # a line each in the file
    assert read_info(folder(other)).config == {}


def test_config_of_a_kind_nobody_knows_is_said(capsys: pytest.CaptureFixture[str]):
    run = genui.init("config", config="sweep.yaml")
    assert run.config == {}
    assert said(capsys) == ["genui: config is left out: str is not a dict or similar"]


def test_the_summary_has_the_newest_values_and_the_scripts_own():
    run = genui.init("summary")
    run.log({"loss": 2.0, "acc": 0.5})
    run.log({"loss": 1.0})
    run.summary["best"] = 0.5
    assert run.summary["loss"] == genui.summary.loss == 1.0
    run.log({"loss": 0.5})
    run.finish()
    found = msgspec.json.decode(folder(run).summary.read_bytes())
    assert {"loss": 0.5, "acc": 0.5, "best": 0.5, "step": 2}.items() <= found.items()


def test_secrets_of_the_config_are_kept_in_memory_alone():
    run = genui.init("config", config={"api_key": "k1", "hub": {"token": "t1"}, "lr": 1e-3})
    run.config["password"] = "p1"
    assert (run.config.api_key, run.config["password"]) == ("k1", "p1")
    masked = {"api_key": "***", "hub": {"token": "***"}, "lr": 1e-3, "password": "***"}
    assert read_info(folder(run)).config == masked
