"""Runs `python -m genui …` again and again in forks of one process that has imported torch.

Each line on stdin is a command as JSON: `argv`, `cwd`, and the files `out` and `err` that its
output goes to. Each line on stdout is the exit code of one. The forks start as `python -m`
starts: by runpy, with nothing of genui imported.
"""

import gc
import json
import os
import runpy
import sys

import torch  # noqa: F401 - imported here so that no command has to


def serve() -> None:
    """Answers until stdin is closed. Returns in a fork, which is then to be the command."""
    gc.freeze()  # so that a fork need not copy what it never changes
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            become(request)
            return
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    sys.exit()


def become(request: dict) -> None:
    """Give this process the command's arguments, folder, input and output."""
    os.chdir(request["cwd"])
    for number, path in ((1, request["out"]), (2, request["err"])):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.path[0] = request["cwd"]  # as `python -m` has it, in place of this script's folder
    sys.argv = ["genui", *request["argv"]]


if __name__ == "__main__":
    serve()
    runpy.run_module("genui", run_name="__main__", alter_sys=True)
