"""Where the weights, gradients and optimiser states of a training are: whole on every rank, or
shared out over the ranks by FSDP2 (`torch.distributed.fsdp.fully_shard`; Zhao et al. 2023), for
models that do not fit one process.

Of every parameter that is shared out each rank has some consecutive rows. A block of the network
has all of them only while it is computed, forward or backward; what is outside of blocks has them
during the whole step. Tables with sparse gradients stay whole: a step exchanges few of their rows.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.train.optimizer import (
    gradient_norm,
    is_shared,
    join_rows,
    local,
    own_rows,
    rows_of,
    sparse_tables,
)
from genui.engine.train.recompute import blocks_of
from genui.engine.train.task import Player
from genui.engine.train.world import Gradients, Processes, World, deal


class Replicas:
    """Every rank has all weights. Rank 0 evaluates, and writes what it has."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def takes_part(self) -> bool:
        """Whether this rank is needed to write a checkpoint."""
        return self._world.rank == 0

    @property
    def writes(self) -> bool:
        """Whether this rank writes it."""
        return self._world.rank == 0

    @property
    def average(self) -> nn.Module | None:
        """The module for the average of the weights; None if EMA makes it."""
        return None

    def gradients(self, player: Player) -> Gradients:
        return Gradients(player.module)

    def compute(self, loss: Callable[[], Tensor]) -> Tensor:
        """The loss, computed with whole weights."""
        return loss()

    def share_out(
        self,
        function: Callable[[Tensor], Tensor],
        values: Iterable[Tensor],
        shapes: Sequence[torch.Size],
    ) -> Iterable[Tensor]:
        """The Map of the optimisers, of functions whose results are bf16."""
        return self._world.map(function, values)

    def clip(self, parameters: Iterable[nn.Parameter], limit: float) -> float:
        """As `gradient_norm`, of all rows."""
        return gradient_norm(parameters, limit)

    def load(self, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Load whole tensors into the model or its average. Raises RuntimeError if they do not
        fit."""
        module.load_state_dict(dict(tensors))

    def state_dict(self, module: nn.Module) -> Mapping[str, Tensor]:
        """The tensors of the model or its average, for `gather`."""
        return module.state_dict()

    def gather(self, tensor: Tensor) -> Tensor:
        """On rank 0 the whole tensor."""
        return tensor

    @contextmanager
    def whole(self, module: nn.Module) -> Iterator[nn.Module | None]:
        """The average of the model, to evaluate it; None on ranks that do not."""
        yield None if self._world.rank else module


class Shards(Replicas):
    """Each rank has some rows of every parameter. All ranks take part in each method."""

    def __init__(self, world: Processes, model: nn.Module, decay: float) -> None:
        """Shares out the parameters of the model; `decay` is that of EMA.

        Raises MisuseError if torch is too old.
        """
        self._world, self._model = world, model
        # A copy without weights of its own, which gets them in `whole`.
        none = {id(p): nn.Parameter(torch.empty_like(p[:0]), False) for p in model.parameters()}
        self._copy = copy.deepcopy(model, cast("dict[int, Any]", none))
        _shard(model, world)
        for average, parameter in zip(self._copy.parameters(), model.parameters(), strict=True):
            rows = local(parameter).detach()
            average.data = rows.clone() if decay and is_shared(parameter) else rows

    @property
    def takes_part(self) -> bool:
        return True

    @property
    def average(self) -> nn.Module:
        """A copy of the model whose parameters are the rows of this rank; without an average they
        have the memory of the model's."""
        return self._copy

    def gradients(self, player: Player) -> Gradients:
        return _Scattered(player.module)

    def compute(self, loss: Callable[[], Tensor]) -> Tensor:
        # Autocast's own copies of the weights would outlive those that a block has had.
        torch.set_autocast_cache_enabled(False)
        try:
            return getattr(self._model, _COMPUTE)(loss)
        finally:
            torch.set_autocast_cache_enabled(True)

    def share_out(
        self,
        function: Callable[[Tensor], Tensor],
        values: Iterable[Tensor],
        shapes: Sequence[torch.Size],
    ) -> Iterable[Tensor]:
        """Each rank gets some matrices whole, computes them, and sends the rows of the results."""
        swap, own, size = self._world.swap, self._world.rank, self._world.size
        owners = deal([shape.numel() * min(shape) for shape in shapes], size)
        of = [[i for i, owner in enumerate(owners) if owner == rank] for rank in range(size)]
        given = [value.reshape(-1) for value in values]
        none = given[0][:0]

        def lengths(matrices: Iterable[int], rank: int) -> list[int]:
            """How many numbers a rank has of the matrices."""
            return [len(range(shapes[i][0])[rows_of(shapes[i][0], rank, size)]) * shapes[i][1]
                    for i in matrices]  # fmt: skip

        received = swap(
            [torch.cat([none, *(given[i] for i in matrices)]) for matrices in of],
            [sum(lengths(of[own], rank)) for rank in range(size)],
        )
        parts = [v.split(lengths(of[own], rank)) for rank, v in enumerate(received)]
        results = [
            function(torch.cat(rows).view(shapes[i]))
            for i, rows in zip(of[own], zip(*parts, strict=True), strict=True)
        ]
        received = swap(
            [
                torch.cat([none, *(r[rows_of(len(r), rank, size)].flatten() for r in results)])
                for rank in range(size)
            ],
            [sum(lengths(matrices, own)) for matrices in of],
        )
        rows_by_matrix = {
            i: part.view(-1, shapes[i][1])
            for matrices, vector in zip(of, received, strict=True)
            for i, part in zip(matrices, vector.split(lengths(matrices, own)), strict=True)
        }
        return [rows_by_matrix[i] for i in range(len(shapes))]

    def clip(self, parameters: Iterable[nn.Parameter], limit: float) -> float:
        dense = [p.grad for p in parameters if p.grad is not None and not p.grad.is_sparse]
        own = [local(gradient) for gradient in dense]
        squares = [torch.linalg.vector_norm(each, dtype=torch.float64) ** 2 for each in own]
        total = float(torch.stack(squares).sum()) if squares else 0.0
        norm = math.sqrt(self._world.all_reduce([total])[0])
        for gradient in own:
            gradient.mul_(min(1.0, limit / (norm + 1e-6)))
        return norm

    def load(self, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        parameters = self._model.state_dict()
        parts = dict(tensors)
        for name, whole in tensors.items():
            parameter = parameters.get(name)
            if parameter is None:
                continue  # load_state_dict names it
            if whole.shape != parameter.shape:
                shapes = f"{list(whole.shape)} for {list(parameter.shape)}"
                raise RuntimeError(f"size mismatch for {name}: {shapes}")
            rows = own_rows(parameter, whole).to(parameter.device)
            parts[name] = join_rows(parameter, rows) if module is self._model else rows
        module.load_state_dict(parts)

    def state_dict(self, module: nn.Module) -> Mapping[str, Tensor]:
        parameters = self._model.state_dict()
        if module is self._model:
            return parameters
        return {name: join_rows(parameters[name], v) for name, v in module.state_dict().items()}

    def gather(self, tensor: Tensor) -> Tensor:
        if not is_shared(tensor):
            return tensor
        size = self._world.size
        parts = [rows_of(len(tensor), rank, size) for rank in range(size)]
        return self._world.collect(local(tensor).detach(), [p.stop - p.start for p in parts])

    @contextmanager
    def whole(self, module: nn.Module) -> Iterator[nn.Module | None]:
        own = [average.data for average in module.parameters()]
        pairs = list(zip(module.parameters(), self._model.parameters(), strict=True))
        try:
            for average, parameter in pairs:
                tensor = self.gather(join_rows(parameter, average.data))
                if self._world.rank == 0:
                    average.data = tensor
            yield None if self._world.rank else module
        finally:
            for (average, _), rows in zip(pairs, own, strict=True):
                average.data = rows


class _Scattered(Gradients):
    """Gradients that FSDP adds in the backward pass: each rank gets its rows of the sums."""

    def add(
        self,
        world: World,
        parts: int,
        exact: bool,
        compute: Callable[[int], Sequence[float]],
    ) -> list[float]:
        numbers = compute(world.rank)
        self.put_rows(world.concatenate(self.take_rows()))
        return world.all_reduce(numbers)


# --- FSDP2 ------------------------------------------------------------------------------------

_COMPUTE = "compute_loss"
"""A method of the model that FSDP takes for its forward pass: a loss is more than `forward`."""


def _shard(model: nn.Module, world: Processes) -> None:
    """Share out the parameters of a model. Raises MisuseError if torch is too old."""
    import torch.distributed.fsdp as fsdp  # late: a process alone has no use for it
    from torch.distributed.device_mesh import init_device_mesh

    device = next(model.parameters()).device
    mesh = init_device_mesh(device.type, (world.size,))
    tables = set(sparse_tables(model))
    for module in (*blocks_of(model), model):
        fsdp.fully_shard(module, mesh=mesh, ignored_params=tables)
    setattr(model, _COMPUTE, lambda loss: loss())
    fsdp.register_fsdp_forward_method(model, _COMPUTE)
    gather, scatter = _Gather(world), _Scatter(world)
    try:
        for module in model.modules():
            if isinstance(module, fsdp.FSDPModule):
                # The losses of the ranks add up to that of the batch.
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)
                module.set_custom_all_gather(gather)  # pyright: ignore[reportArgumentType]
                module.set_custom_reduce_scatter(scatter)  # pyright: ignore[reportArgumentType]
        # Else ranks whose shares use different parameters would send different numbers of them.
        # One that no rank uses gets a gradient of zeros.
        model.set_reduce_scatter_unused_params(True)  # pyright: ignore
    except AttributeError as error:
        version = torch.__version__
        raise MisuseError(f"--shard needs a newer torch than {version} ({error})") from None


class _Exchange:
    """What FSDP sends, as an exchange of the world."""

    def __init__(self, world: Processes) -> None:
        self._world = world

    def allocate(self, size: Sequence[int], *, dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.empty(size, dtype=dtype, device=device)


class _Gather(_Exchange):
    def __call__(
        self, output_tensor: Tensor, input_tensor: Tensor, group: Any, async_op: bool = False
    ) -> Any:
        return self._world.gather_into(output_tensor, input_tensor, group, async_op)


class _Scatter(_Exchange):
    """Gloo's mean of gradients is their sum (pytorch#162338), so `op` is not asked: it is always
    the sum."""

    def __call__(
        self,
        output_tensor: Tensor,
        input_tensor: Tensor,
        group: Any,
        op: Any,
        async_op: bool = False,
    ) -> Any:
        return self._world.scatter_sum(output_tensor, input_tensor, group, async_op)
