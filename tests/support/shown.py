"""The examples of a step, as `w` shows them."""

from genui.engine.device import Machine
from genui.engine.recompute import measure_step
from genui.engine.train.task import Task
from genui.runs.recomputed import Example

PNG = b"\x89PNG"


def show_step(task: Task) -> tuple[Example, ...]:
    """The examples of step 2, each with a loss of its own."""
    examples = measure_step(task, Machine("cpu", "fp32", 1), 2)
    assert sorted(example.row for example in examples) == [*range(len(examples))]
    for example in examples:
        assert any(name.endswith("loss") for name in example.measures)
    return examples
