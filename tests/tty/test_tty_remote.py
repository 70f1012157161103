"""Logs of another host, over a real sshd: a cut link, a slow one, and what is read."""

import getpass
import json
import random
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sshd
from sshd import Sshd
from terminal import GENUI, Terminal
from waiting import wait_for

from genui.base.errors import GenuiError
from genui.cli.main import main
from genui.logs import remote
from genui.logs.remote import Follower, Place, fetch_once, parse_listing, parse_place
from genui.runs.api import Run
from genui.runs.hosts import SSH
from genui.runs.layout import create_script_run

PATIENCE = 240.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd.serving(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The folder on the "other" host."""
    folder = tmp_path / "there"
    (folder / "first run").mkdir(parents=True)
    (folder / "first run" / "metrics.csv").write_text("step,loss\n1,2.5\n")
    (folder / "main.jsonl").write_bytes(lines(0, 3000))
    (folder / "weights.bin").write_bytes(b"x" * 100_000)
    return folder


def lines(first: int, last: int) -> bytes:
    return b"".join(b'{"step":%d,"loss":%.6f}\n' % (i, 1 / (i + 1)) for i in range(first, last))


def use(server: Sshd, link: sshd.Link, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(SSH, shlex.join(server.client(link)))
    return f"{getpass.getuser()}@127.0.0.1"


def test_a_folder_is_read_and_then_only_what_is_new(
    server: Sshd, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.link() as link:
        place = Place(use(server, link, monkeypatch), str(logs))
        copy = fetch_once(place)
        names = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
        assert names == {"main.jsonl", "first run/metrics.csv", ".inodes", ".lock"}
        carried = link.carried
        with (logs / "main.jsonl").open("ab") as file:
            file.write(lines(3000, 3010))
        assert fetch_once(place) == copy
        assert (copy / "main.jsonl").read_bytes() == lines(0, 3010)
        assert link.carried - carried < 20_000  # a handshake of ssh, and ten lines
        (logs / "main.jsonl").unlink()  # rotated
        (logs / "main.jsonl").write_bytes(lines(0, 5))
        fetch_once(place)
        assert (copy / "main.jsonl").read_bytes() == lines(0, 5)


def test_a_cut_link_loses_no_byte_and_reads_none_twice(
    server: Sshd, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_WAITS", (0.2,))
    monkeypatch.setattr(remote, "POLL", 0.1)
    words = random.Random(1)  # not to be compressed
    data = b"".join(
        b'{"step":%d,"x":"%032x"}\n' % (i, words.getrandbits(128)) for i in range(30_000)
    )
    (logs / "main.jsonl").write_bytes(data)
    with server.link() as link:
        host = use(server, link, monkeypatch)
        link.rate = 150_000
        follower = Follower(Place(host, str(logs)))
        try:
            copy = follower.root / "main.jsonl"
            for _ in range(3):
                size = follower.copy.fetched
                wait_for(lambda size=size: follower.copy.fetched > size)
                link.cut()
                wait_for(lambda: follower.line != "")
                wait_for(lambda: follower.line == "")
            link.rate = float("inf")
            with (logs / "main.jsonl").open("ab") as file:
                file.write(lines(40_000, 40_010))
            whole = data + lines(40_000, 40_010)
            wait_for(lambda: copy.stat().st_size == len(whole))
            assert copy.read_bytes() == whole
            others = len("step,loss\n1,2.5\n")
            assert follower.copy.fetched == len(whole) + others
        finally:
            follower.stop()


def test_the_app_follows_a_log_over_100_kib_a_second_and_says_that_the_link_is_lost(
    server: Sshd, logs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with server.link() as link:
        host = use(server, link, monkeypatch)
        link.rate = 100 * 1024
        with Terminal([*GENUI, "watch", f"{host}:{logs}/main.jsonl"]) as terminal:
            terminal.until(lambda text: "loss" in text and "1 column" in text)
            with (logs / "main.jsonl").open("ab") as file:
                file.write(lines(3000, 4000))
            terminal.until(lambda text: "3,999" in text)
            link.cut()
            terminal.until(lambda text: "connecting again" in text)
            terminal.press("q")
            terminal.wait()


def test_inspect_follows_a_log_of_another_host_also_after_a_lost_link(
    server: Sshd, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.link() as link:
        host = use(server, link, monkeypatch)
        log = logs / "main.jsonl"
        command = [*GENUI, "inspect", f"{host}:{log}", "--until", "step>=3019", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stderr is not None
                for step in range(3000):
                    assert json.loads(process.stdout.readline())["step"] == step
                for first in (3000, 3010):
                    with log.open("ab") as file:
                        file.write(lines(first, first + 10))
                    for step in range(first, first + 10):
                        assert json.loads(process.stdout.readline())["step"] == step
                    link.cut()
                assert process.wait(PATIENCE) == 0
                assert b"connecting again" in process.stderr.read()
            finally:
                process.kill()


def test_the_end_of_a_run_on_another_host_comes_with_its_last_records(
    server: Sshd,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Run(create_script_run("far", "", {}), "far") as run:
        for step in range(5):
            run.log({"loss": 1.0 / (step + 1)}, step=step)
    folder = shutil.copytree(run.dir, tmp_path / "there" / run.id)
    with server.link() as link:
        host = use(server, link, monkeypatch)
        assert main(["inspect", f"{host}:{folder}", "--until", "done", "--json"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["step"] for line in out] == list(range(5))


def test_the_shell_reads_other_hosts_too(
    server: Sshd,
    logs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with server.link() as link:
        host = use(server, link, monkeypatch)
        assert main(["export", f"{host}:{logs}/first run/metrics.csv", "--csv", "-"]) == 0
        assert capsys.readouterr().out.splitlines()[1].startswith("1,")
        assert main(["inspect", f"{host}:{logs}/nowhere"]) == 1
        assert "there is no such file or folder" in capsys.readouterr().err
    monkeypatch.setenv(SSH, shlex.join(["ssh", "-F", "none", "-p", "1"]))
    with pytest.raises(GenuiError, match=r"127\.0\.0\.1: "):
        fetch_once(Place("127.0.0.1", "logs"))


def test_a_place_is_written_as_for_scp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_place("me@host:~/logs") == ("me@host", "~/logs")
    assert parse_place("host:a:b") == ("host", "a:b")
    for word in ("logs", "./a:b", "/a:b", "-oProxyCommand=x:y", "me@-x:y", "host:"):
        assert parse_place(word) is None
    (tmp_path / "a:b").touch()
    assert parse_place("a:b") is None


def test_paths_that_lead_outside_the_copy_are_skipped() -> None:
    listing = (
        b"12 -rw-r--r-- 1 0 0 34 Nov 27 17:20 /logs/a/b.csv\n"
        b"13 -rw-r--r-- 1 0 0 34 Nov 27  2025 /logs/../../etc/x.csv\n"
        b"14 drwxr-xr-x 1 0 0 34 Nov 27 17:20 /logs/c.csv\n"
        b"total 3\n\xff\xfe\n"
        b" 15 -rw-r--r-- 1 0 0 99999999999 Jan 1 2025 /logs/new\xffline.csv\n"
    )
    files = list(parse_listing(listing, "/logs", 1_795_800_000.0))
    assert [(file.name, file.inode, file.size) for file in files] == [
        ("a/b.csv", 12, 34),
        ("new\udcffline.csv", 15, 99_999_999_999),
    ]
    assert time.gmtime(files[0].changed)[:5] == (2026, 11, 27, 17, 20)
    assert time.gmtime(files[1].changed)[:3] == (2025, 1, 1)
