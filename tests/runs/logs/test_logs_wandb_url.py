"""Runs on a server of W&B, by URL, with a library `wandb` that answers from here."""

import json
import math
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from log_makers import read_all, seen
from waiting import wait_for

from genui.base.errors import GenuiError, MisuseError
from genui.cli.main import main
from genui.logs import wandb_url
from genui.logs.find import find_logs
from genui.logs.wandb_url import RunFollower, RunUrl, WandbUrlTail, fetch_once, parse_run_url

URL = "https://wandb.ai/team/owls/runs/abc"
PLACE = RunUrl("https://api.wandb.ai", "team", "owls", "abc")
Capture = pytest.CaptureFixture[str]


class Server:
    """What a server of W&B has, and what it was asked for."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.state = "running"
        self.fault = ""
        self.servers: list[str] = []
        self.starts: list[int] = []  # the first step of each scan

    def log(self, at: int, **values: Any) -> None:
        row = {"_step": at, "_timestamp": 1.8e9 + at, "_runtime": at, **values}
        self.rows.append(row)

    def run(self, path: str) -> Any:
        if self.fault or path != PLACE.path:
            raise ValueError(self.fault or f"no run\n{path}")
        return SimpleNamespace(
            id="abc", name="wide owl", project="owls", tags=["night"], notes="a note",
            created_at="2026-01-05T10:00:00Z", state=self.state,
            config={"lr": 0.1, "model": {"width": 8}, "_wandb": {}},
            summary_metrics={"best": 0.5, "img": {"_type": "image-file"}, "_step": 1},
            lastHistoryStep=self.rows[-1]["_step"] if self.rows else -1,
            scan_history=self.scan,
        )  # fmt: skip

    def scan(self, min_step: int) -> Iterator[dict[str, Any]]:
        self.starts.append(min_step)
        return iter([row for row in self.rows if row["_step"] >= min_step])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()

    def api(overrides: dict[str, str]) -> Any:
        server.servers.append(overrides["base_url"])
        return SimpleNamespace(run=server.run, flush=lambda: None)

    module = ModuleType("wandb")
    monkeypatch.setattr(module, "Api", api, raising=False)
    monkeypatch.setitem(sys.modules, "wandb", module)
    return server


@pytest.mark.parametrize(
    ("word", "place"),
    [
        (URL, PLACE),
        (f"{URL}/overview?nw=x", PLACE),
        ("https://wandb.ai/team/owls/abc", PLACE),
        ("http://my.host:8080/team/owls/runs/abc", PLACE._replace(server="http://my.host:8080")),
        ("me@host:logs", None),
        ("logs/abc", None),
    ],
)
def test_a_url_names_a_run(word: str, place: RunUrl | None):
    assert parse_run_url(word) == place


@pytest.mark.parametrize(
    "word",
    [
        "https://wandb.ai/team/owls",
        "https://wandb.ai/",
        "https://wandb.ai/a/b/runs/..",
        "http://[/",
    ],
)
def test_a_url_of_no_run_is_one_line(word: str):
    with pytest.raises(MisuseError, match="name a run, as in"):
        parse_run_url(word)


def test_a_run_is_read_by_url(server: Server, capsys: Capture):
    server.log(0, loss=2.0, val={"acc": 0.5})
    server.log(3, loss=math.nan, img={"_type": "image-file", "size": 9}, note="text", step=7)
    assert main(["inspect", URL, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["info"]["name"], told["info"]["project"]) == ("wide owl", "owls")
    assert (told["tags"], told["note"], told["format"]) == (["night"], "a note", "wandb-url")
    assert told["info"]["config"] == {"lr": 0.1, "model": {"width": 8}}
    assert told["summary"] == {"best": 0.5}
    assert (told["state"], told["step"]) == ("writing", 3)
    assert server.servers == ["https://api.wandb.ai"]
    (log,) = find_logs(fetch_once(PLACE))
    tail = WandbUrlTail(log.run.path)
    read_all(tail)
    assert seen(tail) == {
        "loss": [(0, "2.0"), (3, "nan")],
        "val/acc": [(0, "0.5")],
        "step": [(3, "7.0")],
    }
    assert tail.series["loss"].times.tolist() == [1.8e9, 1.8e9 + 3]
    # Only what is new is fetched; a cut line is replaced; a run that was begun again is read anew.
    assert server.starts == [0, 4]
    with open(log.run.path, "ab") as file:
        file.write(b'{"wandb_step":4,"ti')
    server.log(4, loss=1.0)
    server.state = "crashed"
    fetch_once(PLACE)
    read_all(tail)
    assert server.starts == [0, 4, 4]
    assert (seen(tail)["loss"][-1], tail.ended) == ((4, "1.0"), "failed")
    server.rows = []
    server.log(1, loss=9.0)
    fetch_once(PLACE)
    read_all(tail)
    assert seen(tail) == {"loss": [(1, "9.0")]}


def test_a_run_is_followed_and_a_fault_is_said(server: Server):
    server.log(0, loss=2.0)
    follower = RunFollower(PLACE, poll_s=0.01)
    try:
        (log,) = find_logs(follower.root)
        tail = WandbUrlTail(log.run.path)
        server.log(1, loss=1.0)

        def is_whole() -> bool:
            tail.read()
            return seen(tail) == {"loss": [(0, "2.0"), (1, "1.0")]}

        wait_for(is_whole)
        server.fault = "no network\nat all"
        wait_for(lambda: follower.line == "api.wandb.ai/team/owls/abc: no network at all")
        server.fault = ""
        wait_for(lambda: not follower.line)
    finally:
        follower.stop()


def test_inspect_follows_a_run_by_url_to_its_end(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: Capture
):
    """The run goes on each time that it is asked for, and is finished then."""
    monkeypatch.setattr(wandb_url, "RunFollower", partial(RunFollower, poll_s=0.01))
    scan = server.scan

    def scan_and_go_on(min_step: int) -> Iterator[dict[str, Any]]:
        if len(server.rows) < 5:
            server.log(len(server.rows), loss=1.0)
        else:
            server.state = "finished"
        return scan(min_step)

    monkeypatch.setattr(server, "scan", scan_and_go_on)
    assert main(["inspect", URL, "--follow", "--json"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["step"] for line in out] == [0, 1, 2, 3, 4]


def test_without_the_library_its_install_line_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
):
    monkeypatch.setitem(sys.modules, "wandb", ModuleType("wandb"))  # a folder of that name
    assert main(["inspect", URL]) == 1
    assert "pip install 'wandb>=0.20'" in capsys.readouterr().err
    with pytest.raises(GenuiError, match="is missing"):
        fetch_once(PLACE)


def test_an_unknown_run_is_one_line(server: Server, capsys: Capture):
    assert main(["watch", URL.replace("abc", "gone")]) == 1
    assert capsys.readouterr().err.strip().endswith("team/owls/gone: no run team/owls/gone")


@pytest.mark.parametrize(
    "about",
    ['{"about":5}', '{"about":[5]}', '{"about":["","","",5]}', '{"config":[1]}', '{"state":7}',
     '{"about":["","","",[],"","soon"]}', "[" * 100_000, "\xff"],
)  # fmt: skip
def test_a_damaged_copy_is_read_without_what_is_known(about: str, tmp_path: Path, capsys: Capture):
    (tmp_path / "history.wandb-url").write_text(
        '{"wandb_step":1,"time":1700000000,"metrics":{"loss":2.5}}\n'
    )
    (tmp_path / "about.json").write_bytes(about.encode("latin-1"))
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == 2.5
