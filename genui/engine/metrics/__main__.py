"""`python -m genui.engine.metrics MODEL`: measure a model on its own dataset, as JSON."""

import json
import sys

from genui.base.errors import GenuiError
from genui.engine.kinds import measure
from genui.runs.models import find_model, read_header


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m genui.engine.metrics MODEL", file=sys.stderr)
        return 2
    try:
        info = find_model(sys.argv[1])
        metrics = measure(info, read_header(info.path).recipe)
    except GenuiError as error:
        print(f"genui: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(dict(metrics), indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
