"""`python -m tests.bench NAME …` is `python tests/bench/bench_NAME.py …`; without NAME, a list."""

import runpy
import sys
from pathlib import Path

from genui.base.errors import GenuiError

HERE = Path(__file__).parent

if __name__ == "__main__":
    names = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    if sys.argv[1:2] and sys.argv[1] in names:
        script = str(HERE / f"bench_{sys.argv.pop(1)}.py")
        sys.argv[0] = script
        sys.path[0] = str(HERE)
        try:
            runpy.run_path(script, run_name="__main__")
        except GenuiError as error:
            sys.exit(f"{script}: {error}")
    else:
        sys.exit("\n".join(["usage: python -m tests.bench NAME …; the names:", *names]))
