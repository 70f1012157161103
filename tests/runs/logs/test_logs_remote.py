"""Copies of logs on another host; its shell is one of this machine. The link: test_tty_remote."""

import shutil
from pathlib import Path

import pytest
from waiting import wait_for

from genui.cli.main import main
from genui.logs import remote
from genui.logs.remote import (
    Copy,
    Follower,
    LinkLostError,
    Place,
    Shell,
    fetch_once,
    parse_listing,
)
from genui.runs.hosts import SSH

NOW = 1_795_800_000.0


@pytest.fixture(autouse=True)
def local_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell in place of ssh."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nexec sh\n")
    ssh.chmod(0o755)
    monkeypatch.setenv(SSH, str(ssh))


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "main.jsonl").write_bytes(b'{"step":1}\n')
    return folder


def test_a_file_that_grows_between_listing_and_reading_is_not_read_twice(logs: Path) -> None:
    copy, shell = Copy(Place("host", str(logs))), Shell("host", ask=False)
    copy.own()
    copy.search(shell)
    with (logs / "main.jsonl").open("ab") as file:
        file.write(b'{"step":2}\n')
    assert copy.fetch(shell)
    assert copy.fetch(shell)  # before it is listed again, as after a lost link
    assert (copy.root / "main.jsonl").read_bytes() == b'{"step":1}\n{"step":2}\n'
    assert copy.fetched == 22
    (logs / "main.jsonl").write_bytes(b"{}\n")  # cut, as by a script that starts again
    copy.look(shell)
    copy.fetch(shell)
    assert (copy.root / "main.jsonl").read_bytes() == b"{}\n"
    shell.close()
    copy.close()


def test_a_small_file_that_is_replaced_is_read_once_a_change(logs: Path) -> None:
    (logs / "trainer_state.json").write_bytes(b"{}")
    copy, shell = Copy(Place("host", str(logs))), Shell("host", ask=False)
    copy.own()
    copy.search(shell)
    copy.fetch(shell)
    (logs / "trainer_state.json").write_bytes(b"[1, 2]")
    before = copy.fetched
    for look in (copy.look, copy.look, copy.search):
        look(shell)
        copy.fetch(shell)
    assert copy.fetched == before + 6
    shell.close()
    copy.close()


def test_a_link_to_a_log_is_read(logs: Path) -> None:
    (logs / "latest").symlink_to("main.jsonl")
    root = fetch_once(Place("host", f"{logs}/latest"))
    assert (root / "latest").read_bytes() == b'{"step":1}\n'


def test_the_environment_there_does_not_change_what_ls_prints(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("TIME_STYLE", "long-iso"), ("BLOCK_SIZE", "K"), ("CDPATH", "/")):
        monkeypatch.setenv(name, value)
    root = fetch_once(Place("host", str(logs)))
    assert (root / "main.jsonl").read_bytes() == b'{"step":1}\n'


def test_a_name_that_no_copy_can_have_leaves_the_other_files(logs: Path) -> None:
    (logs / ("漢" * 80 + ".jsonl")).write_bytes(b"{}\n")  # 246 bytes
    root = fetch_once(Place("host", str(logs)))
    assert [path.name for path in root.glob("*.jsonl")] == ["main.jsonl"]


def test_the_files_of_every_format_are_copied_also_of_a_plug_in(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in = tmp_path / "mine.py"
    plug_in.write_text(
        "import re\nfrom genui.logs.base import Format\n"
        "from genui.logs.json_lines import JsonlTail\n"
        "LOGS = [Format('pairs', 'pairs', JsonlTail, re.compile('.+[.]pairs'))]\n"
    )
    names = ("loss.pairs", "events.out.tfevents.1", "run-a.wandb", "a.csv", "slurm-7", "step-1.txt")
    for name in (*names, "weights.bin"):
        (logs / name).write_bytes(b"1 0.5\n")
    monkeypatch.setenv("GENUI_PLUGINS", str(plug_in))
    root = fetch_once(Place("host", str(logs)))
    assert {path.name for path in root.glob("[!.]*")} == {"main.jsonl", *names}


def test_a_file_that_is_too_large_is_told_and_a_large_config_is_not(
    logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("mlflow.db", "tokenizer.json"):
        with (logs / name).open("wb") as file:
            file.truncate(5 << 20)
    assert main(["watch", f"host:{logs}"]) == 0
    printed = capsys.readouterr()
    assert "main.jsonl" in printed.out
    line = f"host:{logs}: too large to be read over ssh: mlflow.db; copy what you need\n"
    assert printed.err == line


def test_a_reply_without_an_end_is_not_kept() -> None:
    shell = Shell("host", ask=False)
    with pytest.raises(LinkLostError, match="host: sends more than was asked for"):
        shell.run("yes", limit=1 << 20)
    shell.close()


def test_a_host_that_sends_more_than_was_asked_for_fills_no_disk(
    logs: Path, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "head").write_text("#!/bin/sh\nexec cat /dev/zero\n")
    (tools / "head").chmod(0o755)
    copy, shell = Copy(Place("host", str(logs))), Shell("host", ask=False)
    copy.own()
    copy.search(shell)
    shell.run(f"PATH={tools}:$PATH")
    with pytest.raises(LinkLostError, match="more than was asked for"):
        copy.fetch(shell)
    assert copy.fetched == 0
    shell.close()
    copy.close()


def test_a_file_and_a_folder_of_one_name_leave_the_other_logs(logs: Path, tmp_path: Path) -> None:
    """No file system has both at once, but a host may say so, or change one into the other."""
    place = Place("host", str(logs))
    (logs / "a.jsonl").write_bytes(b"{}\n")
    (logs / "b.jsonl").mkdir()
    (logs / "b.jsonl" / "c.jsonl").write_bytes(b"{}\n")
    root = fetch_once(place)
    (logs / "a.jsonl").unlink()
    (logs / "a.jsonl").mkdir()
    (logs / "a.jsonl" / "d.jsonl").write_bytes(b"{}\n")
    shutil.rmtree(logs / "b.jsonl")
    (logs / "b.jsonl").write_bytes(b"{}\n")
    (logs / "z.jsonl").write_bytes(b'{"step":2}\n')
    fetch_once(place)
    assert (root / "z.jsonl").read_bytes() == b'{"step":2}\n'


def test_the_listing_of_bsd_and_names_with_line_breaks() -> None:
    listing = (
        b"12 -rw-r--r--@ 1 501 20 34 Nov 27 17:20 /logs//a/b.csv\n"
        b"13 -rw-r--r-- 1 0 0 5 Nov 27 17:20 /logs/x\n"
        b"14 -rw-r--r-- 1 0 0 5 Nov 27 17:20 /home/me/secret.csv\n"
    )
    assert [file.name for file in parse_listing(listing, "/logs", NOW)] == ["a/b.csv", "x"]


def test_who_reads_second_goes_on_when_the_first_ends(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "POLL", 0.02)
    place = Place("host", str(logs))
    first, second = Follower(place), Follower(place)
    first.stop()
    with (logs / "main.jsonl").open("ab") as file:
        file.write(b'{"step":2}\n')
    try:
        wait_for(lambda: (second.root / "main.jsonl").read_bytes().endswith(b'{"step":2}\n'))
    finally:
        second.stop()
