"""A step of a task in shares is the same step."""

import torch

from genui.engine.train.task import Share, Task, players_of


def assert_shares_add_up(task: Task, count: int = 3, step: int = 2) -> None:
    """The losses of unequal shares add up to the loss of the batch, and so do their gradients."""
    task.model.eval()  # without dropout
    for player in players_of(task):
        parameters = list(player.module.parameters())

        def gradient(*shares: Share, parameters=parameters, player=player):
            task.model.zero_grad(set_to_none=True)
            losses = [player.loss(step, share) for share in shares]
            for loss in losses:
                loss.backward()
            grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            return sum(float(loss.detach()) for loss in losses), grads

        whole, grads = gradient(Share())
        total, sums = gradient(*(Share(index, count) for index in range(count)))
        assert abs(total - whole) <= 1e-5 * max(1.0, abs(whole))
        largest = max(float(grad.abs().max()) for grad in grads)
        assert largest > 0
        for grad, other in zip(grads, sums, strict=True):
            assert float((grad - other).abs().max()) <= 1e-4 * largest
    task.model.zero_grad(set_to_none=True)
