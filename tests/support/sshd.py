"""A real sshd on the loopback, and a link to it that can be cut or go silent."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from waiting import PATIENCE

_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
AcceptEnv *
PrintMotd no
PrintLastLog no
"""


@dataclass
class Link:
    """One TCP way to sshd through this process: the client's, as a network would carry it."""

    port: int
    _pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)
    _silent: threading.Event = field(default_factory=threading.Event)
    rate: float = float("inf")  # bytes a second, each way
    carried: int = 0  # bytes, both ways

    def cut(self) -> None:
        """Close every connection at once, as when a router restarts."""
        for pair in self._pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._pairs.clear()

    def go_silent(self) -> None:
        """Carry nothing more and tell nobody, as when a laptop is closed."""
        self._silent.set()


@dataclass(frozen=True)
class Sshd:
    """A server that takes one key, of the user the tests run as."""

    port: int
    folder: Path

    def command(self, link: Link, remote: str) -> list[str]:
        """The `ssh` that runs `remote` in a terminal over that link."""
        return [*self.client(link), "-tt", f"{getpass.getuser()}@127.0.0.1", remote]

    def client(self, link: Link) -> list[str]:
        """`ssh` with the options for that link."""
        options = (
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "IdentitiesOnly=yes",
            "EscapeChar=none",
        )
        return [
            *("ssh", "-F", "none", "-i", str(self.folder / "user_key")),
            *(word for option in options for word in ("-o", option)),
            *("-p", str(link.port)),
        ]

    @contextmanager
    def link(self) -> Iterator[Link]:
        """A way to it that can be cut."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            link = Link(server.getsockname()[1])
            threading.Thread(target=self._serve, args=(server, link), daemon=True).start()
            try:
                yield link
            finally:
                link.cut()

    def _serve(self, server: socket.socket, link: Link) -> None:
        while True:
            try:
                client, _ = server.accept()
                there = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                return
            link._pairs.append((client, there))
            for one, other in ((client, there), (there, client)):
                threading.Thread(target=_carry, args=(one, other, link), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket, link: Link) -> None:
    with suppress(OSError):
        while data := source.recv(16384):
            if link._silent.is_set():
                threading.Event().wait()  # for ever: the bytes are lost, the sockets stay
            time.sleep(len(data) / link.rate)
            link.carried += len(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def serving(folder: Path) -> Iterator[Sshd]:
    """Run sshd on a free port until the block ends; skips the test where there is none."""
    sshd = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if sshd is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd here: apt install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it leaves its privileges
    for name in ("host_key", "user_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True
        )
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    config = folder / "sshd_config"
    config.write_text(_CONFIG.format(port=port, folder=folder))
    log = folder / "sshd.log"
    with subprocess.Popen(
        [sshd, "-D", "-e", "-f", str(config)], stderr=log.open("wb"), stdin=subprocess.DEVNULL
    ) as server:
        try:
            _await(port, server, log)
            yield Sshd(port, folder)
        finally:
            server.terminate()


def _await(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert server.poll() is None, f"sshd ended: {log.read_text()}"
        assert time.monotonic() < end, f"sshd does not answer: {log.read_text()}"
        time.sleep(0.05)


def remote(words: str, home: Path) -> str:
    """A shell line that runs `python -m genui WORDS` of this checkout with that GENUI_HOME."""
    root = Path(__file__).resolve().parents[2]
    return (
        f"cd {root} && exec env GENUI_HOME={home} COLORTERM=truecolor LC_ALL=C.UTF-8 "
        f"{sys.executable} -m genui {words}".rstrip()
    )
