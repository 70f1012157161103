"""What the card of a model would state, of a shipped model, a run or one of its checkpoints.

python -m tests.bench card autoencoder-128
python -m tests.bench card RUN@STEP
"""

import argparse
import time

from harness import machine, report_machine

from genui.engine.ship import measure
from genui.runs.models import find_model, read_header


def main() -> None:
    parser = argparse.ArgumentParser(description="The metrics of a model's card")
    parser.add_argument("model")
    before, info = machine(), find_model(parser.parse_args().model)
    began = time.perf_counter()
    for label, value in measure(info, read_header(info.path).recipe).items():
        print(f"{label}: {value}")
    print(f"step {info.step:,}, measured in {time.perf_counter() - began:.0f} s")
    report_machine(before)


if __name__ == "__main__":
    main()
