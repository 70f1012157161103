"""Runs `python -m genui …` again and again in forks of one process that has imported torch.

Each line on stdin is a command as JSON: `argv`, `cwd`, `home`, and the files `out` and `err` that
its output goes to. Each line on stdout is the exit code of one. Every command is run by runpy, as
`python -m` does. What they all import is imported before the first: by printing the help that the
arguments of this script name, and by name what is not of genui. What a command imports of genui
beside that is imported for those after it.
"""

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import sys
import threading
import traceback
from contextlib import redirect_stdout

import mido  # noqa: F401 - these are imported here so that no command has to
import msgspec  # noqa: F401
import numpy  # noqa: F401
import PIL.Image
import PIL.PngImagePlugin  # noqa: F401
import psutil
import safetensors.torch  # noqa: F401
import tokenizers  # noqa: F401
import torch  # noqa: F401


def serve() -> int:
    """Answers until stdin is closed. Returns in a fork, which is then to be the command, and to
    write what it has imported to this file."""
    for command in sys.argv[1:]:
        sys.argv = ["genui", command, "--help"]
        with redirect_stdout(io.StringIO()):
            run()
    gc.freeze()  # so that a fork need not copy what it never changes
    for line in sys.stdin:
        request = json.loads(line)
        assert psutil.Process().num_threads() == 1, "a process that forks must have no threads"
        told, tell = os.pipe()
        pid = os.fork()
        if not pid:
            become(request)
            return tell
        os.close(tell)
        with open(told) as file:
            imported = file.read().split()
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        for name in imported:
            importlib.import_module(name)
    sys.exit()


def become(request: dict) -> None:
    """Give this process the command's arguments, folder, input and output."""
    os.chdir(request["cwd"])
    os.environ["GENUI_HOME"] = request["home"]
    for number, path in ((1, request["out"]), (2, request["err"])):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.path[0] = request["cwd"]  # as `python -m` has it, in place of this script's folder
    sys.argv = ["genui", *request["argv"]]


def run() -> int:
    """The command to its end, as `python -m` runs it; its exit code."""
    try:
        runpy.run_module("genui", run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if not isinstance(error.code, str):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    tell = serve()
    known = set(sys.modules)
    code = run()
    # What an interpreter does at its end, except to take torch apart: that would copy the memory
    # which a fork shares.
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    new = (name for name in sys.modules if name not in known and name.startswith("genui."))
    os.write(tell, " ".join(new).encode())
    os._exit(code)
