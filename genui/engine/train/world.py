"""The processes that train one run together, on `torch.distributed`.

They find each other by the variables that torchrun sets: RANK, WORLD_SIZE, LOCAL_RANK,
LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT. Without them there is one process, and nothing of
`torch.distributed` is used. All decisions are taken by rank 0 or from numbers that were added over
all ranks, so all ranks take them at the same step.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar, cast

import msgspec
import psutil
import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Variable

from genui.base.errors import GenuiError
from genui.runs.hosts import local_address
from genui.runs.processes import rank_in_job

T = TypeVar("T")

RENDEZVOUS_TIMEOUT = timedelta(minutes=10)
"""The time that the processes wait for each other at the start."""

EXCHANGE_TIMEOUT = timedelta(days=7)
"""The time that a process waits in an exchange: rank 0 may evaluate for hours. A process that ends
is noticed at once, since its connections close."""


class AgreedError(GenuiError):
    """A failure that all ranks detect at the same step: each ends by itself, rank 0 reports it."""


class LostContactError(GenuiError):
    """Another process has ended in the middle of an exchange."""


class World:
    """The processes that train together, or a single one."""

    def __init__(self, size: int = 1) -> None:
        """With a `size` above 1 find the others. Raises LostContactError if that fails."""
        env = os.environ if size > 1 else {}
        self.size, self.rank = size, int(env.get("RANK", 0))
        self.local_rank = int(env.get("LOCAL_RANK", self.rank))
        self.local_size = int(env.get("LOCAL_WORLD_SIZE", size))
        self.waited = 0.0  # seconds spent in exchanges so far
        self.hosts: Sequence[str] = ()  # of the ranks, if they are several
        if size > 1:
            _choose_interface(env["MASTER_ADDR"])
            with self.noticing():
                self._join()

    def _join(self) -> None:
        rendezvous = dist.rendezvous("env://", timeout=RENDEZVOUS_TIMEOUT)  # pyright: ignore
        store, rank, size = next(rendezvous)
        # Messages are tensors on the CPU; gradients on GPUs are added by NCCL.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        store = dist.PrefixStore("group", store)  # pyright: ignore
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=size, timeout=EXCHANGE_TIMEOUT
        )
        self.hosts = self.all_gather(socket.gethostname())

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """A block in which `torch.distributed` is used: its time counts as waited."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.waited += time.perf_counter() - begin

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """A block in which the errors of `torch.distributed` are a LostContactError."""
        try:
            yield
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            is_exchange = "gloo" in reason.lower() or isinstance(error, dist.DistError)
            if self.size == 1 or not is_exchange:
                raise
            raise LostContactError(f"rank {self.rank} lost contact: {reason}") from None

    def broadcast(self, compute: Callable[[], T]) -> T:
        """What `compute` returns on rank 0, sent to all ranks: data that JSON has."""
        return cast("T", self.all_gather(compute() if self.rank == 0 else None)[0])

    def first_on_host(self, compute: Callable[[], T]) -> T:
        """What `compute` returns on this rank. The first rank of a machine computes it before the
        others do: it downloads and prepares files that they find then."""
        if self.size == 1:
            return compute()
        result = compute() if self.local_rank == 0 else None
        with self.exchange():
            dist.barrier()
        return compute() if result is None else result

    def all_gather(self, value: T) -> list[T]:
        """The values of all ranks: data that JSON has, of which tuples become lists."""
        if self.size == 1:
            return [value]
        # As JSON: torch's own functions unpickle, and so run, what arrives from the network.
        data = torch.frombuffer(bytearray(msgspec.json.encode(value)), dtype=torch.uint8)
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        with self.exchange():
            dist.all_gather(lengths, torch.tensor([len(data)]))
            longest = data.new_zeros(max(int(length) for length in lengths))
            texts = [torch.empty_like(longest) for _ in lengths]
            longest[: len(data)] = data
            dist.all_gather(texts, longest)
        return [
            msgspec.json.decode(text[: int(length)].numpy().tobytes())
            for text, length in zip(texts, lengths, strict=True)
        ]

    def all_reduce(self, numbers: Sequence[float]) -> list[float]:
        """The sums of the numbers over all ranks, in fp64."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64)
        with self.exchange():
            dist.all_reduce(sums)
        return sums.tolist()

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss, which torch averages over the ranks: those of the sum of
        their losses."""
        if self.size == 1:
            loss.backward()
            return
        ended = time.perf_counter()

        def note_end() -> None:
            """The gradients of this rank are computed: what follows is waiting."""
            nonlocal ended
            ended = time.perf_counter()

        engine: Any = Variable._execution_engine  # as torch's own FSDP does it
        loss = loss * self.size
        loss.register_hook(lambda gradient: engine.queue_callback(note_end))
        loss.backward()
        self.waited += time.perf_counter() - ended

    def spread(self, tensors: Sequence[Tensor], owners: Sequence[int]) -> None:
        """Give all ranks the tensors, each as its owner has it."""
        for rank in range(self.size):
            own = [each for each, owner in zip(tensors, owners, strict=True) if owner == rank]
            if own:
                vector = torch.cat([each.flatten() for each in own])
                with self.exchange():
                    dist.broadcast(vector, rank)
                for each, part in zip(
                    own, vector.split([each.numel() for each in own]), strict=True
                ):
                    each.copy_(part.view_as(each))

    def average(self, tensor: Tensor) -> Tensor:
        """The mean of a tensor over the ranks."""
        total = tensor.coalesce() if tensor.is_sparse else tensor.clone()
        with self.exchange():
            dist.all_reduce(total)
        return total / self.size

    def close(self) -> None:
        """End the exchange of messages."""
        if self.size > 1:
            with suppress(RuntimeError, OSError):
                dist.destroy_process_group()


def join_world() -> World:
    """The processes that this one is started with, or itself alone.

    Raises MisuseError if the variables of the job are incomplete, and LostContactError if the
    processes do not find each other within ten minutes.
    """
    return World(1 if rank_in_job() is None else int(os.environ["WORLD_SIZE"]))


def _choose_interface(address: str) -> None:
    """Let gloo listen on the interface from which the address is reached: by itself it takes that
    of the host's name, which is often the loopback of this machine."""
    with suppress(OSError):
        own = local_address(address)
        for name, addresses in psutil.net_if_addrs().items():
            if any(each.address == own for each in addresses):
                os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
