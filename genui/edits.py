"""What the edits of a branch come to: the request of a fork, and what is in force at a step."""

from typing import Any

from msgspec.structs import replace

from genui.protocol import Edit, EditAt, SetPrompt, SetSeed, SetSettings, Start


def forked(request: Start, step: int, edit: Edit) -> Start:
    """The same up to and including `step`, where `edit` applies; later edits do not hold."""
    before = (at for at in request.edits if at.step <= step)
    return replace(request, edits=(*before, EditAt(step=step, edit=edit)))


def in_force(request: Start, step: int | None = None) -> tuple[str, int, Any]:
    """The prompt, the seed and the medium's settings at `step`, or at the end of the branch."""
    prompt, seed, settings = request.prompt, request.seed, request.settings
    for at in request.edits:
        if step is not None and at.step > step:
            continue
        match at.edit:
            case SetPrompt():
                prompt = at.edit.prompt
            case SetSeed():
                seed = at.edit.seed
            case SetSettings():
                settings = at.edit.settings
    return prompt, seed, settings
