"""Fine-tuning: the real trainer on a tiny random Llama."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from forks import train_ranks, train_until_killed
from shares import assert_shares_add_up
from tiny_llama import TEMPLATE, write_tiny_llama

from genui.base.errors import GenuiError, MisuseError
from genui.cli.main import main
from genui.engine import trainer
from genui.engine.device import Machine
from genui.engine.estimate import estimate
from genui.engine.kinds import build_task, check_data
from genui.engine.load import find_and_load, open_trace
from genui.engine.metrics import copying
from genui.engine.models.fast_decoding import COMPUTED_BY
from genui.engine.recompute import recompute
from genui.engine.train.checkpoint import load_state, load_weights
from genui.kinds.open_text.lora import AdaptedModel
from genui.kinds.open_text.plan import PROCESS
from genui.kinds.open_text.recipe import FineTuneRecipe
from genui.logs.native import MetricsTail
from genui.protocol import Start, TextSettings
from genui.recipes import override
from genui.runs import launch
from genui.runs.layout import RunDir, read_info
from genui.runs.models import find_fork, find_model, find_origin
from genui.ui.organise import train_command

pytestmark = pytest.mark.usefixtures("signals")

HERE = {"threads": "1", "precision": "fp32", "device": "cpu"}
SMALL = HERE | {
    "steps": "12",
    "rank": "4",
    "batch": "4",
    "learning_rate": "0.03",
    "eval_every": "6",
    "sample_every": "6",
    "checkpoint_every": "4",
    "sample_tokens": "12",
}

IDS = torch.arange(20)[None]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "tiny.gguf")


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    """Twenty questions, all answered alike."""
    path = tmp_path / "chats.jsonl"
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"What is {number}?"},
                {"role": "assistant", "content": "Arr, it be Paris"},
            ]
        }
        for number in range(20)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def start(base: Path, chats: Path) -> Callable[..., RunDir]:
    def start(name: str = "tuned", start_from: str = "", **settings: str) -> RunDir:
        origin = find_origin(start_from or str(base))
        chosen = SMALL | {"data": str(chats)} | settings
        return launch.create(origin.recipe, chosen, name, start_from or str(base))

    return start


def series(run: RunDir, name: str) -> dict[int, float]:
    tail = MetricsTail(run.metrics)
    while tail.read():
        pass
    return dict(zip(*(part.tolist() for part in tail.series[name].points[:2]), strict=True))


def network_of(ref: str) -> Any:
    generator: Any = find_and_load(ref)
    return generator.model


def test_it_learns_the_answers_and_generates_with_its_adapter(
    start: Callable[..., RunDir],
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copying, "LEAST", 12)
    run = start(steps="24")
    assert trainer.train(run) == 0, run.console.read_text()
    losses = series(run, "val_loss")
    assert losses[24] < 0.2 * losses[0]
    before, after = ((run.samples / f"step-{step:08d}.txt").read_text() for step in (0, 24))
    assert "> What is 9?" in before
    assert "Arr" not in before
    assert "Arr, it be Paris" in after
    # The checkpoint is the adapter; the base is neither copied nor changed.
    assert run.checkpoint(24).stat().st_size < 0.5 * base.stat().st_size
    tensors, described = load_weights(run.checkpoint(24))
    assert all("lora_" in name for name in tensors)
    assert not list(run.path.glob("start*"))
    assert torch.equal(network_of(str(run.path / "adapter"))(IDS), network_of(run.id)(IDS))
    tuned, plain = network_of(run.id), network_of(str(base))
    assert isinstance(tuned, AdaptedModel)
    assert tuned.base.network is plain
    first = plain(IDS)
    assert not torch.allclose(tuned(IDS), first)
    assert torch.equal(plain(IDS), first)
    assert main(["generate", run.id, "--prompt", "What", "--tokens", "3", "--layers", "2"]) == 0
    assert find_model(run.id).parameters == described["parameters"]
    assert described["parameters"] > find_model(str(base)).parameters
    assert find_model(run.id).chat
    capsys.readouterr()
    asked = ("--chat", "--prompt", "What is 9?", "--tokens", "17", "--temperature", "0")
    assert main(["generate", run.id, *asked]) == 0
    assert "assistant: Arr, it be Paris" in capsys.readouterr().out
    trace = open_trace(
        Start(
            trace=1,
            model=run.id,
            prompt="What is 9?",
            chat=True,
            seed=1,
            settings=TextSettings(tokens=17, temperature=0),
        )
    )
    list(trace.advance(0, 17))
    [quote] = copying.nearest(trace, trace.reached, 6).quotes
    assert "it be Paris" in quote.text
    assert quote.where.startswith("chats.jsonl:")
    saved = tmp_path / "saved.txt"
    assert main(["generate", run.id, "--prompt", "It", "--tokens", "5", "--out", str(saved)]) == 0
    assert f'"fp32 by {COMPUTED_BY}"' in saved.read_text()
    assert main(["replay", str(saved)]) == 0
    assert "identical" in capsys.readouterr().out
    words = ["generate", run.id, "--prompt", "What", "--tokens", "4", "--seed", "1"]
    assert main([*words, "--fork", "1:token=ris"]) == 0
    assert (
        main(["compare", str(base), run.id, "--prompt", "What", "--tokens", "6", "--seed", "1"])
        == 0
    )
    assert "differ" in capsys.readouterr().out


def test_a_killed_training_resumes_to_the_same_bits(start: Callable[..., RunDir]) -> None:
    whole, killed = start("whole"), start("killed")
    assert trainer.train(whole) == 0
    train_until_killed(killed, 6)
    assert trainer.train(killed) == 0
    assert "resumed from the checkpoint at step 4" in killed.console.read_text()
    assert series(killed, "loss") == series(whole, "loss")
    one, other = (load_state(run, 12)[0] for run in (whole, killed))
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_shares_of_a_step_count_its_learned_tokens(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": "It is", "completion": " so" * (1 + n % 3)} for n in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    origin = find_origin(str(base))
    recipe = override(origin.recipe, SMALL | {"data": str(path)})
    assert_shares_add_up(build_task(recipe, torch.device("cpu"), None))


def test_two_processes_train_one_adapter(start: Callable[..., RunDir]) -> None:
    one, two = start(steps="4"), start(steps="4")
    assert trainer.train(one) == 0
    train_ranks(two, 2)
    assert series(two, "loss") == pytest.approx(series(one, "loss"), rel=0, abs=1e-5)
    assert (two.path / "adapter").is_dir()


def test_training_goes_on_from_an_adapter(start: Callable[..., RunDir], base: Path) -> None:
    source = start()
    assert trainer.train(source) == 0
    run = start("next", start_from=source.id, steps="2", learning_rate="1e-4", ema="0.9")
    assert trainer.train(run) == 0, run.console.read_text()
    assert series(run, "val_loss")[0] == series(source, "val_loss")[12]
    averaged, raw, _, _ = load_state(run, 2)
    assert not any(torch.equal(value, raw[name]) for name, value in averaged.items())
    # The command that the app copies for a run names the model, not a recipe.
    for one, origin in ((source, str(base)), (run, f"{source.id}@12")):
        _, *words = shlex.split(train_command(read_info(one)))
        assert words[0] == "train"
        assert words[words.index("--from") + 1] == origin
        assert main([*words, "--dry-run"]) == 0
    with pytest.raises(MisuseError, match="--set rank=4"):
        start("wider", start_from=source.id, rank="8")


def test_a_training_in_full_changes_every_weight(start: Callable[..., RunDir], base: Path) -> None:
    run = start(mode="full", steps="4", learning_rate="0.003")
    assert trainer.train(run) == 0, run.console.read_text()
    assert series(run, "loss")[4] < series(run, "loss")[1]
    before, after = network_of(str(base)).state_dict(), network_of(run.id).state_dict()
    assert before.keys() == after.keys()
    assert not any(torch.equal(value, after[name]) for name, value in before.items())


def test_another_base_under_the_same_name_is_refused(
    start: Callable[..., RunDir], base: Path, tmp_path: Path
) -> None:
    run = start(steps="1")
    assert trainer.train(run) == 0
    write_tiny_llama(base, seed=1)
    with pytest.raises(GenuiError, match="is another one now"):
        find_and_load(run.id)
    with pytest.raises(GenuiError, match="is another one now"):
        check_data(find_origin(run.id).recipe)
    late = tmp_path / "away.gguf"
    base.rename(late)
    with pytest.raises(GenuiError, match="is not here"):
        find_and_load(run.id)


def test_prompts_with_completions_and_plain_text_are_learned_too(
    start: Callable[..., RunDir], tmp_path: Path
) -> None:
    pairs, text = tmp_path / "pairs.jsonl", tmp_path / "text.txt"
    row = json.dumps({"prompt": "What is it? ", "completion": "Paris"})
    pairs.write_text(f"{row}\n" * 12)
    text.write_text("What is the capital of France? It be Paris, says I.\n" * 60)
    for data in (pairs, text):
        run = start(data=str(data), context="32")
        assert trainer.train(run) == 0, run.console.read_text()
        losses = series(run, "val_loss")
        assert losses[12] < losses[0] - 0.5


_ASSISTANT = {"role": "assistant", "content": "Arr!"}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "", "completion": "Arr, matey!"},
        {"messages": [_ASSISTANT, {"role": "user", "content": "Paris?"}, _ASSISTANT]},
    ],
)
def test_a_row_without_a_prompt_has_a_sample(row: dict[str, Any], tmp_path: Path) -> None:
    template = f"{{% if messages[0].role == 'system' %}}{{% endif %}}{TEMPLATE}"
    base, data = tmp_path / "strict.gguf", tmp_path / "rows.jsonl"
    write_tiny_llama(base, template=template)
    data.write_text(f"{json.dumps(row)}\n" * 12)
    recipe = override(find_origin(str(base)).recipe, SMALL | {"data": str(data)})
    task = build_task(recipe, torch.device("cpu"), None)
    (sample,) = task.sample(task.model, Machine("cpu", "fp32", 1))
    assert sample.content.decode().partition("\n\n")[2].strip()


def test_a_larger_context_is_advised_only_if_the_model_reads_one(
    base: Path, tmp_path: Path
) -> None:
    data = tmp_path / "rows.jsonl"
    row = {"prompt": "What is the capital of France? " * 40, "completion": "Paris"}
    data.write_text(f"{json.dumps(row)}\n" * 12)
    for context, remedy in (("64", "--set context=128"), ("512", "tiny.gguf reads no more")):
        changes = SMALL | {"data": str(data), "context": context}
        recipe = override(find_origin(str(base)).recipe, changes)
        with pytest.raises(MisuseError, match=remedy):
            build_task(recipe, torch.device("cpu"), None)


def test_what_does_not_fit_into_memory_is_refused_with_a_remedy(
    base: Path, chats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = override(find_origin(str(base)).recipe, {"data": str(chats), "mode": "full"})
    assert isinstance(recipe, FineTuneRecipe)
    (plan,) = estimate(recipe)
    assert plan.memory > 0
    assert not plan.fault
    memory = psutil.virtual_memory()
    for available, says in (
        (plan.memory - 1, "take less with --set mode=lora or --set batch=2"),
        (1 << 20, "no setting makes it fit: train a smaller model"),  # less than the weights
    ):
        free = memory._replace(available=available)
        monkeypatch.setattr(psutil, "virtual_memory", lambda free=free: free)
        (refused,) = estimate(recipe)
        assert says in refused.fault
        assert "\n" not in refused.fault
    for share in (0.9, 0.5, 0.2, 0.05, 0.01):  # of what the training takes beside the process
        available = PROCESS + round(share * (plan.memory - PROCESS))
        free = memory._replace(available=available)
        monkeypatch.setattr(psutil, "virtual_memory", lambda free=free: free)
        (refused,) = estimate(recipe)
        ways = re.findall(r"(?:--set \S+=\w+ ?)+", refused.fault)
        assert ways or "no setting makes it fit" in refused.fault
        for way in ways:  # each that is named helps
            changed = override(recipe, dict(re.findall(r"(\w+)=(\w+)", way)))
            assert [fitting.fault for fitting in estimate(changed)] == [""], way
    monkeypatch.undo()
    usage = shutil.disk_usage(base)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    (plan,) = estimate(recipe)
    assert "checkpoint_every=100" in plan.fault
    (plan,) = estimate(override(recipe, {"mode": "lora"}))
    assert not plan.fault


def test_adapters_are_not_shared_out() -> None:
    recipe = FineTuneRecipe(name="mine", base="other")
    launch.check_processes(replace(recipe, mode="full"), 2, shard=True)
    with pytest.raises(MisuseError, match=r"--shard: adapters are small.*--set mode=full"):
        launch.check_processes(recipe, 2, shard=True)


def test_a_step_is_computed_again_with_the_loss_of_the_answers(
    start: Callable[..., RunDir],
) -> None:
    run = start(steps="3", checkpoint_every="2")
    assert trainer.train(run) == 0, run.console.read_text()
    for step in (1, 3):  # from the model of others, and from a state
        found = recompute(run, step)
        assert found.agreement == "equal to the bit"
        losses = [each.measures["loss"] or 0.0 for each in found.examples]
        assert sum(losses) / len(losses) == pytest.approx(found.logged["loss"], rel=0.01)
        assert all("Paris" in each.text for each in found.examples)


def test_a_fork_leaves_a_chat_out_and_keeps_the_state(start: Callable[..., RunDir]) -> None:
    run = start(checkpoint_every="4")
    assert trainer.train(run) == 0
    place = recompute(run, 6).examples[0].place
    origin = find_fork(f"{run.id}@4")
    same = launch.create(origin.recipe, {}, "same", origin)
    fork = launch.create(origin.recipe, {"skip": place}, "fork", origin)
    for each in (same, fork):
        assert trainer.train(each) == 0, each.console.read_text()
    before, after = series(run, "loss"), series(fork, "loss")
    assert series(same, "loss") == {step: before[step] for step in range(5, 13)}
    assert after[6] != before[6]
    assert place not in {e.place for step in (6, 12) for e in recompute(fork, step).examples}
    _, *words = shlex.split(train_command(read_info(fork)))
    assert words[1:4] == ["--set", f"skip={place}", "--set"]
    assert words[words.index("--from") + 1 :][:2] == [f"{run.id}@4", "--keep-state"]
