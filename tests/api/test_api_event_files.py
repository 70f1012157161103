"""`init(sync_tensorboard=True)`: the scalars that a script writes to event files of TensorBoard."""

import json
from pathlib import Path

from api_runs import script, start_script
from waiting import wait_for

from genui.runs.layout import RunDir
from genui.runs.listing import list_runs

WRITER = """
from pathlib import Path
from genui.logs.native import LoggedStep
from genui.logs.tensorboard import event_file

class SummaryWriter:
    '''Opens its file again for each record, as that of tensorboard does.'''
    def __init__(self, folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.path = f"{folder}/events.out.tfevents.1700000000.host"
        self.add("", [])
    def add(self, name, points):
        rows = [LoggedStep(step, 1700000000.0 + step, [value]) for step, value in points]
        with open(self.path, "ab") as file:
            file.write(b"".join(event_file([name], rows, 1700000000.0)))
"""


def metrics_of(run: RunDir) -> dict[str, dict[int, float | str]]:
    """{name: {step: value}} of every record, with the times that the writer gave."""
    found: dict[str, dict[int, float | str]] = {}
    for line in run.metrics.read_bytes().splitlines():
        record = json.loads(line)
        step, when = record.pop("step"), record.pop("time")
        for name, value in record.items():
            assert name == "own" or when == 1700000000.0 + step
            found.setdefault(name, {})[step] = value
    return found


def the_run() -> RunDir:
    (summary,) = list_runs()
    return summary.run


def test_what_a_summary_writer_writes_is_in_the_run(tmp_path: Path) -> None:
    out, err = script(
        f"""{WRITER}
earlier = SummaryWriter({str(tmp_path / "earlier")!r})
run = genui.init(sync_tensorboard=True, monitor_gym=True, save_code=True)
open(earlier.path, "rb").read()
writer = SummaryWriter({str(tmp_path / "runs/a")!r})
for step in range(0, 500, 100):
    writer.add("charts/return", [(step, step / 2)])
    genui.log({{"own": step}})
writer.add("losses/value", [(100, float("nan")), (200, 0.5)])
SummaryWriter({str(tmp_path / "runs/a/two_b")!r}).add("two", [(7, 1.0)])
SummaryWriter({str(tmp_path / "runs/a/1700000000.5")!r}).add("hp/score", [(0, 0.25)])
SummaryWriter({str(tmp_path / "runs/c")!r}).add("charts/return", [(3, 9.0)])
print(run.step)
"""
    )
    assert err == "genui: init() ignores monitor_gym, save_code\n"
    assert out == "5\n"  # what is logged without a step has steps of its own
    assert metrics_of(the_run()) == {
        "own": {step: 100 * step for step in range(5)},
        "charts/return": {step: step / 2 for step in range(0, 500, 100)},
        "losses/value": {100: "NaN", 200: 0.5},
        "two_b/two": {7: 1.0},
        "hp/score": {0: 0.25},
        "c/charts/return": {3: 9.0},
    }
    assert list_runs()[0].status.step == 400


def test_it_is_there_while_the_script_trains(tmp_path: Path) -> None:
    code = f"""{WRITER}
genui.init(sync_tensorboard=True)
writer = SummaryWriter({str(tmp_path / "runs")!r})
for step in range(1, 3):
    writer.add("loss", [(step, 2.5)])
    print("written", flush=True)
    sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""
    with start_script(code) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for step in range(1, 3):
            assert process.stdout.readline() == "written\n"
            wait_for(lambda step=step: step in metrics_of(the_run()).get("loss", {}))
            process.stdin.write("\n")
            process.stdin.flush()
    assert metrics_of(the_run()) == {"loss": {1: 2.5, 2: 2.5}}


def test_a_damaged_event_file_stops_neither_the_script_nor_the_others(tmp_path: Path) -> None:
    out, err = script(
        f"""{WRITER}
genui.init(sync_tensorboard=True)
bad = SummaryWriter({str(tmp_path / "bad")!r})
open(bad.path, "wb").write(b"x" * 100)
SummaryWriter({str(tmp_path / "good")!r}).add("loss", [(1, 2.5)])
genui.finish()
print("went on")
"""
    )
    assert out == "went on\n"
    (line,) = err.splitlines()
    assert "is not a TensorBoard event file" in line
    assert metrics_of(the_run()) == {"good/loss": {1: 2.5}}


def test_without_it_event_files_are_not_read(tmp_path: Path) -> None:
    _, err = script(
        f"""{WRITER}
genui.init(sync_tensorboard=False)
SummaryWriter({str(tmp_path)!r}).add("loss", [(1, 2.5)])
"""
    )
    assert err == ""
    assert metrics_of(the_run()) == {}


def test_callbacks_of_wandb_are_refused_with_what_to_use() -> None:
    _, err = script("""
sys.modules["wandb"] = genui
from wandb.integration.sb3 import WandbCallback
""")
    assert err.splitlines()[-1].startswith("ImportError: genui has no wandb.integration: ")
