"""Branches and forks, without a worker or a screen."""

from genui import protocol
from genui.protocol import AddNoise, EditAt, ImageSettings, SetPrompt, SetSeed, SetSettings
from genui.protocol.edits import inputs_at
from genui.ui.traces.trees import MAX_BRANCHES, ShownTrace, Tree

Images = ShownTrace[protocol.ImageFrame]


def image(step: int, shade: int = 0) -> protocol.ImageFrame:
    pixel = bytes([shade] * 3)
    return protocol.ImageFrame(
        trace=1, step=step, sigma=1.0, width=1, height=1, x=pixel, denoised=pixel
    )


def started(step: int = 0, total: int = 10) -> protocol.Started:
    return protocol.Started(
        trace=1, model="m", family="f", medium="image", prompt="p", total_steps=total, step=step
    )


def begun(steps: int = 10) -> Images:
    """A trace that the worker has taken to step 6, shown there."""
    request = protocol.Start(
        trace=0, model="m", prompt="p", seed=1, settings=ImageSettings(steps=steps)
    )
    trace: Images = ShownTrace(request=request, first=0, total=steps)
    trace.seek(6)
    assert trace.next_request() == "start"
    trace.id = 1
    trace.begin(started(total=steps))
    trace.receive([image(n) for n in range(7)], 0.0)
    return trace


def grown() -> Tree[protocol.ImageFrame]:
    tree: Tree[protocol.ImageFrame] = Tree()
    tree.add(begun(), "seed 1")
    return tree


def test_a_fork_shares_the_steps_before_it_and_is_asked_as_a_fork() -> None:
    tree = grown()
    branch = tree.fork(4, SetSeed(7), "seed 7")
    trace = branch.trace
    assert tree.trace is trace
    assert [frame.step for frame in trace.frames] == [0, 1, 2, 3, 4]
    assert (trace.position, trace.total) == (4, 10)
    assert trace.request.edits == (EditAt(step=4, edit=SetSeed(7)),)
    assert trace.next_request() == "fork"
    trace.id = 2
    trace.begin(started(step=4, total=13))
    trace.receive([image(4, shade=9)], 0.0)
    assert trace.frame == image(4, shade=9)
    assert trace.total == 13
    trace.play()
    assert trace.next_request() == (4, 9)


def test_a_fork_of_what_the_worker_has_lost_begins_by_itself_with_its_edits() -> None:
    tree = grown()
    assert tree.trace is not None
    tree.trace.lose()
    trace = tree.fork(4, SetSeed(7), "seed 7").trace
    assert trace.next_request() == "start"
    trace.id = 5
    trace.begin(started())
    trace.seek(5)
    # The edited frame of step 4 is computed on the way.
    assert trace.next_request() == (3, 2)
    trace.receive([image(0), image(4, shade=9), image(5)], 0.0)
    assert trace.frames[4] == image(4, shade=9)
    assert trace.frame == image(5)


def test_an_edit_may_make_a_trace_longer_than_was_known() -> None:
    trace = begun()
    trace.play()
    assert trace.next_request() == (6, 4)
    trace.receive([image(n) for n in range(7, 11)], 0.0)
    trace.idle(protocol.Idle(trace=1, step=10, steps=4, seconds=0.1, total=12, reason="done"))
    assert trace.next_request() == (10, 2)


def test_turning_one_setting_again_and_again_leaves_one_branch() -> None:
    tree = grown()
    for guidance in (3.0, 4.0, 5.0):
        tree.fork(4, SetSettings(ImageSettings(guidance=guidance)), f"guidance {guidance:g}")
    assert [branch.label for branch in tree.branches] == ["seed 1", "guidance 5"]
    assert [branch.label for branch in tree.take_dropped()] == ["guidance 3", "guidance 4"]
    tree.fork(4, SetSeed(3), "seed 3")
    assert len(tree.branches) == 3


def test_branches_are_read_as_a_tree() -> None:
    tree = grown()
    one = tree.fork(4, SetSeed(7), "seed 7")
    tree.fork(4, AddNoise(to=2), "noise to 2")
    tree.show(0)
    tree.fork(2, SetSeed(9), "seed 9")
    assert [(branch.label, depth) for branch, depth in tree.lines()] == [
        ("seed 1", 0),
        ("seed 7", 1),
        ("noise to 2", 2),
        ("seed 9", 1),
    ]
    tree.show(one.number)
    assert tree.shown is one
    tree.show(99)
    assert tree.shown is one


def test_the_oldest_branches_go_but_never_what_is_shown_grew_from() -> None:
    tree = grown()
    first = tree.fork(1, SetSeed(1), "keep")
    for seed in range(MAX_BRANCHES + 6):
        tree.show(0)
        tree.fork(3, SetSeed(seed), f"seed {seed}")
    tree.show(first.number)
    dropped = tree.take_dropped()
    assert len(tree.branches) == MAX_BRANCHES
    assert {0, first.number} <= {branch.number for branch in tree.branches}
    assert dropped
    assert tree.take_dropped() == []


def test_a_branch_with_a_star_or_a_name_is_neither_dropped_nor_replaced() -> None:
    tree = grown()
    tree.fork(3, SetSeed(1), "seed 1").starred = True
    named = tree.fork(3, SetSeed(2), "seed 2")  # beside the first, which it would replace
    named.name = "dusk"
    for seed in range(3, MAX_BRANCHES + 6):
        tree.show(0)
        tree.fork(4, SetSeed(seed), f"seed {seed}")
        tree.fork(4, SetPrompt("cat"), "cat")
    assert tree.take_dropped()
    assert [branch.title for branch in tree.branches[:3]] == ["seed 1", "seed 1", "dusk"]


def test_what_is_in_force_counts_the_edits_in() -> None:
    edits = (
        EditAt(step=1, edit=SetSeed(8)),
        EditAt(step=2, edit=protocol.SetPrompt("cat")),
        EditAt(step=2, edit=SetSettings(ImageSettings(guidance=5.0))),
    )
    request = protocol.Start(
        trace=0, model="m", prompt="p", seed=1, settings=ImageSettings(), edits=edits
    )
    assert inputs_at(request) == ("cat", 8, ImageSettings(guidance=5.0))
