"""Why a training has ended: the table of signatures, with real texts, and the choice among them."""

import pytest
from ending_texts import CASES, Case

from genui.runs.endings import SIGNATURES, Evidence, Output, decide


def ending_of(*texts: str, code: int | None = None, **evidence: object):
    """The ending of a training whose ranks have printed these texts, in the order of their ends."""
    single = len(texts) == 1
    outputs = tuple(
        Output(f"rank{rank}.log", tuple(text.splitlines()), None if single else rank, 100.0 + rank)
        for rank, text in enumerate(texts)
    )
    return decide(Evidence(outputs=outputs, code=code, **evidence))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{case.source}")
def test_a_real_text_gives_its_ending(case: Case) -> None:
    found = ending_of(case.text, code=case.code)
    assert found.name == case.name
    assert case.cause in found.cause
    assert found.rank == case.rank
    assert "{" not in found.cause


def test_every_signature_has_a_text_or_is_known_by_a_state_of_slurm() -> None:
    told = {case.name for case in CASES}
    by_state = {"node-failure"}
    missing = {row.name for row in SIGNATURES} - told - by_state
    assert missing <= {"cuda-error", "shared-memory", "cut-off-file", "nccl-error", "signal",
                       "address-in-use"}, missing  # fmt: skip


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ("TIMEOUT", "time-limit"),
        ("PREEMPTED", "preemption"),
        ("CANCELLED by 1000", "scancel"),
        ("NODE_FAIL", "node-failure"),
        ("OUT_OF_MEMORY", "kernel-oom"),
    ],
)
def test_slurm_knows_who_sent_the_signal(state: str, name: str) -> None:
    for code in (-9, -15):
        assert ending_of("step 7", code=code).name in ("sigkill", "sigterm")
        assert ending_of("step 7", code=code, slurm=state).name == name
