"""Music played with General MIDI instruments, by fluidsynth where it is installed."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from genui.errors import GenuiError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 32_000  # samples a second
SECONDS = 120  # that fluidsynth may take
FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/usr/local/share/soundfonts")
FONT = "default-GM.sf2"  # what Debian calls the one that is to be used
VARIABLE = "SOUNDFONT"


def installed() -> bool:
    """Whether there are a fluidsynth and a soundfont to be used."""
    return shutil.which("fluidsynth") is not None and soundfont() is not None


def soundfont() -> Path | None:
    """The file that $SOUNDFONT names, else one of those that are installed; None without any."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    found = [path for folder in FOLDERS for path in sorted(Path(folder).glob("*.sf2"))]
    return next((path for path in found if path.name == FONT), next(iter(found), None))


def fluidsynth() -> tuple[str, Path]:
    """The program and the soundfont. Raises GenuiError where one is missing."""
    program, font = shutil.which("fluidsynth"), soundfont()
    if program is None:
        raise GenuiError(
            "--gm: needs fluidsynth, which is not installed (as in: apt install fluidsynth "
            "fluid-soundfont-gm); leave it out for the synthesiser that genui brings"
        )
    if font is None or not font.is_file():
        missing = f"{font} is no file" if font is not None else "none is installed"
        raise GenuiError(
            f"--gm: needs a soundfont, and {missing} (as in: apt install fluid-soundfont-gm; "
            f"or set {VARIABLE})"
        )
    return program, font


def play(midi: bytes) -> "NDArray[np.int16]":
    """The sound of a MIDI file, int16 [N, 2], RATE samples a second.

    Raises GenuiError where fluidsynth is missing or fails.
    """
    import numpy as np

    program, font = fluidsynth()
    with tempfile.TemporaryDirectory(prefix="genui-") as folder:
        score, raw = Path(folder, "tune.mid"), Path(folder, "tune.raw")
        score.write_bytes(midi)
        how = ["-ni", "-q", "-F", str(raw), "-T", "raw", "-O", "s16", "-r", str(RATE)]
        try:
            done = subprocess.run(
                [program, *how, str(font), str(score)], capture_output=True, timeout=SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GenuiError(f"fluidsynth did not play it ({type(error).__name__})") from None
        if done.returncode or not raw.is_file() or not raw.stat().st_size:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1][:100] if lines else f"exit code {done.returncode}"
            raise GenuiError(f"fluidsynth did not play it ({reason})")
        pcm = np.frombuffer(raw.read_bytes(), "<i2")
    return pcm[: len(pcm) // 2 * 2].reshape(-1, 2)
