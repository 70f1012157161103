"""`genui why RUN --step N`: what the shell prints of a step that is computed again."""

import json
import sys
from pathlib import Path

import msgspec
import pytest

from genui.cli.main import main
from genui.recipes import find_recipe
from genui.runs import recomputed
from genui.runs.layout import RunDir, change_status, create_run, last_status, write_status
from genui.runs.recomputed import Example, Progress, Recomputed

FOUND = Recomputed(
    run="plays",
    step=7,
    began=4,
    replayed=3,
    seconds=1.5,
    metrics={"loss": 1.6138, "grad_norm": None},
    logged={"loss": 1.6138},
    examples=(
        Example(
            row=2,
            source="plays.txt, line 12",
            place="90-123",
            text="x\x1b[31mq",
            measures={"loss": 4.5},
            deviations={"loss": 21.0},
        ),
        Example(row=0, source="plays.txt, line 3", measures={"loss": 1.6}, deviations={"loss": 1}),
    ),
)


@pytest.fixture
def run(genui_home: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    run = create_run(find_recipe("shakespeare"), {}, "plays")
    write_status(run, last_status(run))
    change_status(run, state="finished", step=9, steps_per_s=0.01)
    lines = b"\n".join(map(msgspec.json.encode, (Progress(1, 3, 2.0), FOUND))).decode()
    command = [sys.executable, "-c", f"print({lines!r})"]
    monkeypatch.setattr(recomputed, "command_for", lambda *_: command)
    return run


def test_a_table_names_the_likely_cause(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "plays", "--step", "7"]) == 0
    printed = capsys.readouterr()
    assert "equal to the bit" in printed.out
    assert "likely cause: plays.txt, line 12: far harder than others (+21" in printed.out
    assert "genui train --from plays@4 --keep-state --set skip=90-123" in printed.out
    assert "\x1b" not in printed.out
    assert printed.out.index("line 12") < printed.out.index("line 3")
    assert "computing 7 steps again, from step 0: about 12 minutes" in printed.err
    assert "--weights-alone" in printed.err


def test_json_has_the_causes(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "plays", "--step", "7", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["agreement"] == "equal to the bit"
    first, second = found["examples"]
    assert first["likely_cause"]
    assert not second["likely_cause"]
    assert first["place"] == "90-123"


def test_misuse_is_one_line(
    run: RunDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["why", "plays", "--step", "10"]) == 2
    assert "has done steps 1 to 9" in capsys.readouterr().err
    change_status(run, step=0)
    assert main(["why", "plays", "--step", "1"]) == 2
    assert "has done no step yet" in capsys.readouterr().err
    change_status(run, step=9)
    assert main(["why", "plays", "--weights-alone"]) == 2
    failing = [sys.executable, "-c", "import sys; sys.exit('genui: it is damaged')"]
    monkeypatch.setattr(recomputed, "command_for", lambda *_: failing)
    capsys.readouterr()
    assert main(["why", "plays", "--step", "7"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith("it is damaged")
