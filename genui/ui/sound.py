"""Playback of sounds in another process: an audio player, or the extra `sounddevice`."""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from genui.base.errors import GenuiError, install

PLAYERS: tuple[tuple[str, ...], ...] = (
    ("pw-play",),
    ("paplay",),
    ("aplay", "-q"),
    ("afplay",),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
    ("play", "-q"),  # SoX
    ("mpv", "--no-terminal", "--no-video"),
)
"""Commands that play the WAV file that is their last argument, and then end."""

EXPORT_HINT = "write it with x, or over SSH: ssh HOST genui generate MODEL --out - | aplay"
LONGEST = 600.0  # seconds after which a player is stopped

# It runs in a process of its own because PortAudio may hang.
_SOUNDDEVICE = (
    "import sys, wave, numpy, sounddevice\n"
    "with wave.open(sys.argv[1]) as file:\n"
    "    pcm = numpy.frombuffer(file.readframes(file.getnframes()), '<i2')\n"
    "    pcm = pcm.reshape(-1, file.getnchannels())\n"
    "    sounddevice.play(pcm, file.getframerate(), blocking=True)\n"
)


def find_player() -> tuple[str, ...]:
    """Return the command that plays a WAV file on this machine; () if there is none."""
    for command in PLAYERS:
        if shutil.which(command[0]):
            return command
    if find_spec("sounddevice") is not None:
        return (sys.executable, "-c", _SOUNDDEVICE)
    return ()


class Speaker:
    """Plays one sound at a time."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    @property
    def playing(self) -> bool:
        return self._process is not None

    def stop(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def hear(self, make: Callable[[], bytes]) -> str:
        """Make the bytes of a WAV file in a thread and play them. Returns an error line, or ""."""
        try:
            wav = await asyncio.to_thread(make)
        except GenuiError as error:
            return str(error)
        return await self.play(wav)

    async def play(self, wav: bytes) -> str:
        """Stop any other sound, and play a WAV file to its end. Returns an error line, or ""."""
        self.stop()
        command = find_player()
        if not command:
            return (
                f"no audio player found: {EXPORT_HINT}; or install aplay, paplay, afplay or "
                f"ffplay, or {install('sound')}"
            )
        handle, name = tempfile.mkstemp(prefix="genui-", suffix=".wav")
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(wav)
            return await self._run(command, path)
        except OSError as error:
            return f"{command[0]}: cannot be started ({error.strerror}); install another player"
        finally:
            path.unlink(missing_ok=True)

    async def _run(self, command: tuple[str, ...], path: Path) -> str:
        process = await asyncio.create_subprocess_exec(
            *command,
            str(path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        self._process = process
        try:
            _, errors = await asyncio.wait_for(process.communicate(), LONGEST)
        except TimeoutError:
            errors = b""
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            if self._process is process:
                self._process = None
        if process.returncode is None or process.returncode <= 0:  # killed by `stop`
            return ""
        lines = errors.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        return f"{Path(command[0]).name} could not play it ({lines[0][:80]}); {EXPORT_HINT}"
