"""Where the weights, gradients and optimiser states of a training are: whole on every rank, whose
gradients DistributedDataParallel adds (Li et al. 2020), or shared out over the ranks by FSDP2
(`torch.distributed.fsdp.fully_shard`; Zhao et al. 2023), for models that do not fit one process.

Of every parameter that is shared out each rank has some consecutive rows. A block of the network
has all of them only while it is computed, forward or backward; what is outside of blocks has them
during the whole step. Tables with sparse gradients stay whole: a step exchanges few of their rows.
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn

from genui.base.errors import MisuseError
from genui.engine.train.optimizer import gather_whole, is_shared, share_like, sparse_tables
from genui.engine.train.recompute import blocks_of
from genui.engine.train.task import Player
from genui.engine.train.world import World


class _Loss(nn.Module):
    """A player's loss as the forward pass of a module, which torch asks for."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, loss: Callable[[], Tensor]) -> Tensor:
        return loss()


class Replicas:
    """Every rank has all weights."""

    def __init__(self, world: World, players: Sequence[Player]) -> None:
        """Gives all ranks the weights of rank 0."""
        self._world = world
        self._modules: dict[str, Any] = {}
        if world.size > 1:
            from torch.nn.parallel import DistributedDataParallel  # late: not for one process

            with world.exchange(), warnings.catch_warnings():
                # torch 2.13 wants a name that older ones do not know.
                warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)
                for player in players:
                    self._modules[player.name] = DistributedDataParallel(
                        _Loss(player.module), broadcast_buffers=False, find_unused_parameters=True
                    )

    @property
    def average(self) -> nn.Module | None:
        """The module for the average of the weights; None if EMA makes it."""
        return None

    def adding(self, player: Player, is_last: bool) -> AbstractContextManager[None]:
        """A block that computes and differentiates a loss of a player. With the last one of a step
        the gradients are averaged over the ranks."""
        if self._world.size == 1 or is_last:
            return nullcontext()
        return self._modules[player.name].no_sync()

    def compute(self, player: Player, loss: Callable[[], Tensor]) -> Tensor:
        return loss() if self._world.size == 1 else self._modules[player.name](loss)

    def finish(self) -> None:
        """Average the gradients that torch leaves out."""


class Shards(Replicas):
    """Each rank has some rows of every parameter."""

    def __init__(self, world: World, model: nn.Module, decay: float) -> None:
        """Shares out the parameters of the model; `decay` is EMA's.

        Raises MisuseError if torch is too old.
        """
        self._world, self._tables = world, sparse_tables(model)
        # A copy without weights of its own, which gets this rank's rows.
        none = {id(p): nn.Parameter(p.detach().to("meta"), False) for p in model.parameters()}
        self._copy = copy.deepcopy(model, cast("dict[int, Any]", none))
        self._module = _shard(model, self._tables, world.size)
        rows: dict[int, nn.Parameter] = {}
        for part, name, average in list(_places(self._copy)):
            if id(average) not in rows:
                own = model.get_parameter(name).detach()
                rows[id(average)] = nn.Parameter(own.clone() if decay else own, False)
            setattr(part, name.rpartition(".")[2], rows[id(average)])

    @property
    def average(self) -> nn.Module:
        """A copy of the model whose parameters are the rows of this rank; without an average they
        have the memory of the model's."""
        return self._copy

    def adding(self, player: Player, is_last: bool) -> AbstractContextManager[None]:
        return nullcontext()  # the gradients of each loss are averaged, to keep only some rows

    def compute(self, player: Player, loss: Callable[[], Tensor]) -> Tensor:
        # Autocast's own copies of the weights would outlive those that a block has had.
        torch.set_autocast_cache_enabled(False)
        try:
            return self._module(loss)
        finally:
            torch.set_autocast_cache_enabled(True)

    def finish(self) -> None:
        for table in self._tables:
            if table.grad is not None:
                table.grad = self._world.average(table.grad)


def load_whole(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load whole tensors into the model or its average. Raises RuntimeError if they do not fit."""
    own = module.state_dict()
    module.load_state_dict(
        {name: share_like(own[name], value) if name in own and own[name].shape == value.shape
         else value for name, value in tensors.items()}
    )  # fmt: skip


@contextmanager
def gather_module(module: nn.Module, rank: int) -> Iterator[nn.Module | None]:
    """The module with whole parameters on rank 0, to evaluate it; None on the other ranks. All
    ranks enter the block."""
    places = [place for place in _places(module) if is_shared(place[2])]
    gathered: dict[int, nn.Parameter | None] = {}
    try:
        for part, name, parameter in places:
            if id(parameter) not in gathered:
                tensor = gather_whole(parameter.detach())
                gathered[id(parameter)] = None if rank else nn.Parameter(tensor, False)
            if rank == 0:
                setattr(part, name.rpartition(".")[2], gathered[id(parameter)])
        yield None if rank else module
    finally:
        for part, name, parameter in places:
            setattr(part, name.rpartition(".")[2], parameter)


def _places(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """The parameters of a module, with their names and the modules that have them."""
    for prefix, part in module.named_modules():
        for name, parameter in part.named_parameters(prefix, recurse=False):
            yield part, name, parameter


def _shard(model: nn.Module, tables: Sequence[nn.Parameter], size: int) -> Any:
    """Share out the parameters of a model over `size` ranks; returns the module that computes a
    loss with them.

    Raises MisuseError if torch is too old.
    """
    import torch.distributed.fsdp as fsdp  # late: a process alone has no use for it
    from torch.distributed.device_mesh import init_device_mesh

    device = next(model.parameters()).device
    mesh = init_device_mesh(device.type, (size,))
    computing = _Loss(model)
    for module in (*blocks_of(model), computing):
        sharded = fsdp.fully_shard(module, mesh=mesh, ignored_params=set(tables))
        # Gloo's mean is a sum (pytorch#162338): divide after adding.
        sharded.set_force_sum_reduction_for_comms(True)
    try:
        # Else ranks whose shares use different parameters would send different numbers of them.
        # One that no rank uses gets a gradient of zeros.
        cast("Any", computing).set_reduce_scatter_unused_params(True)
    except AttributeError as error:
        version = torch.__version__
        raise MisuseError(f"--shard needs a newer torch than {version} ({error})") from None
    return computing
