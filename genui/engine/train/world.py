"""The processes that train one run together, on `torch.distributed`.

They find each other by the variables that torchrun sets: RANK, WORLD_SIZE, LOCAL_RANK,
LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT. Without them there is one process, and nothing of
`torch.distributed` is used. All decisions are taken by rank 0 or from numbers that were added over
all ranks, so all ranks take them at the same step.
"""

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any, NoReturn, TypeVar, cast

import msgspec
import psutil
import torch
from torch import Tensor, nn

from genui.base.errors import GenuiError
from genui.engine.train.optimizer import sparse_tables
from genui.runs.hosts import local_address
from genui.runs.processes import LISTENER, LOST, WATCHED, rank_in_job

T = TypeVar("T")

RENDEZVOUS_TIMEOUT = timedelta(minutes=10)
"""How long the processes wait for each other at the start."""

EXCHANGE_TIMEOUT = timedelta(days=7)
"""How long a process waits in an exchange: rank 0 may evaluate for hours. A process that ends is
noticed at once, since its connections close."""

HEARTBEAT_S, MAX_MISSED = 2.0, 30
"""Seconds between two heartbeats of a rank, and after how many missed ones it counts as lost."""

_FAILED = "failed"  # the key in the store under which a rank says why it ends
_DONE = b"done"


class AgreedError(GenuiError):
    """A failure that all ranks detect at the same step: each ends by itself, rank 0 reports it."""


class LostContactError(GenuiError):
    """Another process has ended in the middle of an exchange."""


# --- A step's batch in parts, and the sum of their gradients ----------------------------------

Span = tuple[int, int]
"""A range of parts: the index of the first, and of the one after the last."""


def span_of(rank: int, size: int, parts: int) -> Span:
    """The parts of a batch that a rank computes."""
    return parts * rank // size, parts * (rank + 1) // size


def nodes_within(span: Span, first: int, last: int) -> list[Span]:
    """The fewest nodes of the tree of additions over the parts `first` to `last` that make up
    `span`.

    A node adds its two halves. The order of additions so depends on the number of parts alone, not
    on which process computes them: floating-point addition is not associative.
    """
    if span[0] <= first and last <= span[1]:
        return [(first, last)]
    if last <= span[0] or span[1] <= first:
        return []
    middle = (first + last) // 2
    return nodes_within(span, first, middle) + nodes_within(span, middle, last)


def add_nodes(nodes: Mapping[Span, Tensor], first: int, last: int) -> Tensor:
    """The sum over the parts `first` to `last` of nodes that make them up."""
    if (first, last) in nodes:
        return nodes[first, last]
    middle = (first + last) // 2
    return add_nodes(nodes, first, middle) + add_nodes(nodes, middle, last)


class Gradients:
    """Moves the gradients of a module into vectors, which can be added and sent, and back.

    A vector holds the gradients, a flag for each parameter that has one, and a few other numbers.
    Of sparse gradients the rows are listed instead, part after part.
    """

    def __init__(self, module: nn.Module) -> None:
        self._tables = sparse_tables(module)
        known = set(map(id, self._tables))
        self._parameters = [p for p in module.parameters() if id(p) not in known]
        self._listed: list[list[Tensor]] = [[] for _ in self._tables]  # sparse gradients of parts
        self._size = sum(p.numel() for p in self._parameters)
        self._unused: list[Tensor] = []  # vectors that can be reused

    def add(
        self,
        world: "World",
        parts: int,
        exact: bool,
        compute: Callable[[int], Sequence[float]],
    ) -> list[float]:
        """Compute this rank's parts of a batch and leave the sum of the gradients of all parts in
        the module; returns the sums of their other numbers.

        `compute` is that of `sum_parts`, `exact` that of `World.total`.
        """
        own = span_of(world.rank, world.size, parts)
        nodes = {node: self.sum_parts(node, compute) for node in nodes_within(own, 0, parts)}
        total = world.total(nodes, parts, exact)
        return self.unpack(total, world.concatenate(self.take_rows()))

    def sum_parts(self, span: Span, compute: Callable[[int], Sequence[float]]) -> Tensor:
        """Compute the parts of `span` and add them by the tree.

        `compute` leaves the gradients of a part in the module and returns its other numbers.
        """
        first, last = span
        if last - first == 1:
            return self._pack(compute(first))
        middle = (first + last) // 2
        total = self.sum_parts((first, middle), compute)
        right = self.sum_parts((middle, last), compute)
        self._unused.append(right)
        return total.add_(right)

    def take_rows(self) -> list[Tensor]:
        """The rows of the sparse gradients since the last call: of each table their indices [N]
        and values [N, C]."""
        self._list_rows()
        rows = []
        for table, parts in zip(self._tables, self._listed, strict=True):
            none = torch.zeros(0, dtype=torch.int64, device=table.device)
            rows.append(torch.cat([none, *(part.indices()[0] for part in parts)]))
            rows.append(torch.cat([table.detach()[:0], *(part.values() for part in parts)]))
            parts.clear()
        return rows

    def unpack(self, vector: Tensor, rows: Sequence[Tensor]) -> list[float]:
        """Put the gradients of a vector, and rows as of `take_rows`, into the module; return the
        other numbers.

        A parameter that no part has a gradient for gets none. The gradients are views of the
        vector, which the next step reuses.
        """
        count = len(self._parameters)
        flags = vector[self._size : self._size + count].tolist()
        for parameter, view, flag in zip(self._parameters, self._views(vector), flags, strict=True):
            # NaN counts as a gradient, too.
            parameter.grad = None if flag == 0 else view.to(parameter.dtype)
        self._unused = [vector]
        self.put_rows(rows)
        return vector[self._size + count :].tolist()

    def put_rows(self, rows: Sequence[Tensor]) -> None:
        """Put rows as of `take_rows` into the tables of the module."""
        for table, indices, values in zip(self._tables, rows[::2], rows[1::2], strict=True):
            gradient = torch.sparse_coo_tensor(
                indices[None], values, table.shape, check_invariants=False
            )
            table.grad = gradient.coalesce() if len(indices) else None

    def _pack(self, numbers: Sequence[float]) -> Tensor:
        parameters = self._parameters
        length = self._size + len(parameters) + len(numbers)
        fits = [v for v in self._unused if len(v) == length]
        if fits:
            vector = fits[-1]
            self._unused = [v for v in self._unused if v is not vector]
        else:
            vector = torch.empty(length, device=parameters[0].device)
        vector[self._size :] = torch.tensor(
            [float(p.grad is not None) for p in parameters] + list(numbers)
        )
        for parameter, view in zip(parameters, self._views(vector), strict=True):
            if parameter.grad is None:
                view.zero_()
            else:
                view.copy_(parameter.grad)
                parameter.grad = None
        self._list_rows()
        return vector

    def _list_rows(self) -> None:
        for table, parts in zip(self._tables, self._listed, strict=True):
            if table.grad is not None:
                parts.append(table.grad.coalesce())
                table.grad = None

    def _views(self, vector: Tensor) -> Iterator[Tensor]:
        """The parts of a vector in the shapes and memory formats of the parameters."""
        first = 0
        for parameter in self._parameters:
            part = vector[first : first + parameter.numel()]
            yield part.as_strided(parameter.shape, parameter.stride(), part.storage_offset())
            first += parameter.numel()


def deal(costs: Sequence[float], count: int) -> list[int]:
    """Assign tasks to `count` workers, the costliest first, each to the least busy (the LPT rule of
    Graham 1969); returns the worker of each task."""
    busy = [0.0] * count
    owners = [0] * len(costs)
    for task in sorted(range(len(costs)), key=lambda task: -costs[task]):
        owners[task] = busy.index(min(busy))
        busy[owners[task]] += costs[task]
    return owners


# --- Processes --------------------------------------------------------------------------------


class World:
    """A single process. `Processes` has the same methods for several."""

    rank, size = 0, 1
    local_rank, local_size = 0, 1
    waited = 0.0  # seconds spent in exchanges so far
    watched = False  # whether a parent reports the end of a process
    hosts: Sequence[str] = ()  # of the ranks, if they are several

    def report(self, line: str) -> None:
        """Tell the other ranks why this one ends. Never raises."""

    def reported(self) -> str:
        """Why another rank has ended, or ""."""
        return ""

    def watch_over(self, end: Callable[[str], NoReturn]) -> None:
        """Call `end` on a thread with one line when a host no longer answers."""

    def broadcast(self, compute: Callable[[], T]) -> T:
        """What `compute` returns on rank 0, sent to all ranks: data that JSON has."""
        return compute()

    def first_on_host(self, compute: Callable[[], T]) -> T:
        """What `compute` returns on this rank. The first rank of a machine computes it before the
        others do: it downloads and prepares files that they find then."""
        return compute()

    def all_gather(self, value: T) -> list[T]:
        """The values of all ranks: data that JSON has, of which tuples become lists."""
        return [value]

    def all_reduce(self, numbers: Sequence[float]) -> list[float]:
        """The sums of the numbers over all ranks, in fp64."""
        return list(numbers)

    def total(self, nodes: Mapping[Span, Tensor], parts: int, exact: bool) -> Tensor:
        """The sum over all `parts`, of which this rank has `nodes`.

        If `exact` it is added by the tree of `nodes_within`, else in any order. The same bits on
        all ranks.
        """
        return add_nodes(nodes, 0, parts)

    def concatenate(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Each of the tensors [N, …] with the rows of all ranks, rank after rank."""
        return list(tensors)

    def map(
        self, function: Callable[[Tensor], Tensor], values: Iterable[Tensor]
    ) -> Iterable[Tensor]:
        """The built-in `map`, of a function whose results are bf16 in the shapes of the values:
        each rank computes some of them."""
        return map(function, values)

    def copy_weights(self, model: nn.Module) -> None:
        """Give all ranks the weights of rank 0."""

    def exchange(self) -> AbstractContextManager[None]:
        """A block in which `torch.distributed` is used: its time counts as waited, and its errors
        are a LostContactError."""
        return nullcontext()

    def close(self) -> None:
        """End the exchange of messages."""


class Processes(World):
    """Several processes. Raises LostContactError in every method if one of them has ended."""

    def __init__(self) -> None:
        import torch.distributed as dist  # late: a single process has no use for it

        self._dist = dist
        env = os.environ
        self.rank, self.size = int(env["RANK"]), int(env["WORLD_SIZE"])
        self.local_rank = int(env.get("LOCAL_RANK", self.rank))
        self.local_size = int(env.get("LOCAL_WORLD_SIZE", self.size))
        self.waited = 0.0
        self.watched = WATCHED in env
        self._beating, self._closed = threading.Lock(), False
        _choose_interface(env["MASTER_ADDR"])
        with self.exchange():
            self._store = self._find_store()
            # Messages are tensors on the CPU; gradients on GPUs are added by NCCL.
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(
                backend,
                timeout=EXCHANGE_TIMEOUT,
                store=dist.PrefixStore("group", self._store),  # pyright: ignore
                rank=self.rank,
                world_size=self.size,
            )
        self.hosts = self.all_gather(socket.gethostname())

    def _find_store(self) -> Any:
        """The key-value store of the processes, at MASTER_ADDR and MASTER_PORT."""
        dist, env = self._dist, os.environ
        if LISTENER not in env:
            store, _, _ = next(dist.rendezvous("env://", timeout=RENDEZVOUS_TIMEOUT))  # pyright: ignore
            return store
        listener = int(env[LISTENER])  # held by the parent: nobody else can take the port
        return dist.TCPStore(  # pyright: ignore[reportPrivateImportUsage]
            env["MASTER_ADDR"],
            int(env["MASTER_PORT"]),
            self.size,
            is_master=self.rank == 0,
            timeout=RENDEZVOUS_TIMEOUT,
            master_listen_fd=listener if self.rank == 0 else None,
        )

    @contextmanager
    def exchange(self) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise LostContactError(f"rank {self.rank} lost contact: {reason}") from None
        finally:
            self.waited += time.perf_counter() - begin

    def broadcast(self, compute: Callable[[], T]) -> T:
        return cast("T", self.all_gather(compute() if self.rank == 0 else None)[0])

    def first_on_host(self, compute: Callable[[], T]) -> T:
        result = compute() if self.local_rank == 0 else None
        with self.exchange():
            self._dist.barrier()
        return compute() if result is None else result

    def all_gather(self, value: T) -> list[T]:
        # As JSON: torch's own functions unpickle, and so run, what arrives from the network.
        data = torch.frombuffer(bytearray(msgspec.json.encode(value)), dtype=torch.uint8)
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        with self.exchange():
            self._dist.all_gather(lengths, torch.tensor([len(data)]))
            sizes = [int(length) for length in lengths]
            texts = self._gather_rows(data, sizes).split(sizes)
        return [msgspec.json.decode(text.numpy().tobytes()) for text in texts]

    def all_reduce(self, numbers: Sequence[float]) -> list[float]:
        sums = torch.tensor(numbers, dtype=torch.float64)
        with self.exchange():
            self._dist.all_reduce(sums)
        return sums.tolist()

    def total(self, nodes: Mapping[Span, Tensor], parts: int, exact: bool) -> Tensor:
        spans = [
            nodes_within(span_of(rank, self.size, parts), 0, parts) for rank in range(self.size)
        ]
        most = max(map(len, spans))
        if not exact or (self.size == 2 and most == 1):  # of two numbers there is one sum
            with self.exchange():
                vector = add_nodes(nodes, *span_of(self.rank, self.size, parts))
                self._dist.all_reduce(vector)
            return vector
        return self._total_by_tree(nodes, spans, parts, most)

    def _total_by_tree(
        self, nodes: Mapping[Span, Tensor], spans: list[list[Span]], parts: int, most: int
    ) -> Tensor:
        """Every rank adds a slice of the vectors, of all nodes, and sends it to all."""
        like = next(iter(nodes.values()))
        width = -(-len(like) // self.size)
        sent = like.new_zeros(self.size, most, width)
        for place, span in enumerate(spans[self.rank]):
            padded = like.new_zeros(self.size * width)
            padded[: len(like)] = nodes[span]
            sent[:, place] = padded.view(self.size, width)
        received = torch.empty_like(sent)
        with self.exchange():
            self._dist.all_to_all_single(received, sent)
            slices = {
                span: received[rank, place]
                for rank, of_rank in enumerate(spans)
                for place, span in enumerate(of_rank)
            }
            whole = like.new_empty(self.size, width)
            self._dist.all_gather(list(whole), add_nodes(slices, 0, parts).contiguous())
        return whole.view(-1)[: len(like)]

    def swap(self, vectors: Sequence[Tensor], lengths: Sequence[int]) -> list[Tensor]:
        """Send a vector [N] to each rank; returns those that come from each, of these lengths."""
        received = vectors[0].new_empty(sum(lengths))
        with self.exchange():
            self._dist.all_to_all_single(
                received, torch.cat(list(vectors)), list(lengths), [len(v) for v in vectors]
            )
        return list(received.split(list(lengths)))

    def gather_into(self, output: Tensor, rows: Tensor, group: Any, later: bool) -> Any:
        """Fill `output` with the rows of all ranks, or if `later` return what waits for that."""
        dist = self._dist  # names of torch 2.13, and those before
        gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
        with self.exchange():
            return gather(output, rows, group, later)

    def scatter_sum(self, output: Tensor, vector: Tensor, group: Any, later: bool) -> Any:
        """Fill `output` with this rank's part of the sum of the vectors, as `gather_into`."""
        dist = self._dist
        scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
        with self.exchange():
            return scatter(output, vector, dist.ReduceOp.SUM, group, later)

    def collect(self, rows: Tensor, lengths: Sequence[int]) -> Tensor:
        """On rank 0 the rows of all ranks, of which each has its own number; none elsewhere."""
        padded = rows.new_zeros(max(lengths), *rows.shape[1:])
        padded[: len(rows)] = rows
        received = None if self.rank else [torch.empty_like(padded) for _ in lengths]
        with self.exchange():
            self._dist.gather(padded, received, 0)
        if received is None:
            return rows[:0]
        return torch.cat([part[:n] for part, n in zip(received, lengths, strict=True)])

    def concatenate(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        if not tensors:
            return []
        own = torch.tensor([len(each) for each in tensors])
        lengths = [torch.empty_like(own) for _ in range(self.size)]
        with self.exchange():
            self._dist.all_gather(lengths, own)
            return [
                self._gather_rows(each, [int(of_rank[place]) for of_rank in lengths])
                for place, each in enumerate(tensors)
            ]

    def _gather_rows(self, tensor: Tensor, lengths: list[int]) -> Tensor:
        """The rows of all ranks, of which each has its own number."""
        padded = tensor.new_zeros(max(lengths), *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        received = [torch.empty_like(padded) for _ in lengths]
        self._dist.all_gather(received, padded)
        return torch.cat([rows[:n] for rows, n in zip(received, lengths, strict=True)])

    def map(
        self, function: Callable[[Tensor], Tensor], values: Iterable[Tensor]
    ) -> Iterable[Tensor]:
        given = list(values)
        owners = deal([each.numel() * min(each.shape) for each in given], self.size)
        sizes = [0] * self.size
        for each, owner in zip(given, owners, strict=True):
            sizes[owner] += each.numel()
        shape = self.size, max(sizes)
        buffers = torch.zeros(shape, dtype=torch.bfloat16, device=given[0].device)
        filled = [0] * self.size
        results = []
        for each, owner in zip(given, owners, strict=True):
            first = filled[owner]
            filled[owner] += each.numel()
            results.append(buffers[owner, first : filled[owner]].view(each.shape))
            if owner == self.rank:
                results[-1].copy_(function(each))
        with self.exchange():
            self._dist.all_gather(list(buffers), buffers[self.rank].clone())
        return results

    def copy_weights(self, model: nn.Module) -> None:
        with torch.no_grad(), self.exchange():
            for value in (*model.parameters(), *model.buffers()):
                copy = value.contiguous()
                self._dist.broadcast(copy, 0)
                value.copy_(copy)

    def report(self, line: str) -> None:
        with suppress(RuntimeError, OSError):
            self._store.set(_FAILED, f"rank {self.rank} on {socket.gethostname()} {line}")

    def reported(self) -> str:
        with suppress(RuntimeError, OSError):
            self._store.wait([_FAILED], timedelta(seconds=1))
            return self._store.get(_FAILED).decode(errors="replace")
        return ""

    def watch_over(self, end: Callable[[str], NoReturn]) -> None:
        threading.Thread(target=self._watch, args=(end,), daemon=True).start()

    def _watch(self, end: Callable[[str], NoReturn]) -> None:
        """Count up in the store every HEARTBEAT_S, and check that the others do: rank 0 checks all
        of them, the others rank 0.

        Neither clocks nor the connections of the exchange are used: a host that has vanished closes
        none. What counts is how often this process has looked, so one that was suspended itself
        blames nobody.
        """
        others = [r for r in range(self.size) if r != self.rank and 0 in (r, self.rank)]
        last, missed = dict.fromkeys(others, b""), dict.fromkeys(others, 0)
        store: Any = None
        for count in itertools.count():
            time.sleep(HEARTBEAT_S)
            beats: dict[int, bytes] = {}
            try:
                store = store or self._connect()
                with self._beating:
                    if self._closed:
                        return
                    store.set(f"beat{self.rank}", str(count))
                for rank in others:
                    if store.check([f"beat{rank}"]):
                        beats[rank] = store.get(f"beat{rank}")
            except (RuntimeError, OSError):
                store = None  # an answer that comes too late would be taken for that of another
            for rank in others:
                is_alive = rank in beats and beats[rank] != last[rank]
                missed[rank] = 0 if is_alive or beats.get(rank) == _DONE else missed[rank] + 1
                last[rank] = beats.get(rank, b"")
                if missed[rank] >= MAX_MISSED:
                    end(
                        f"rank {rank} on {self.hosts[rank]} has not been heard from for "
                        f"{MAX_MISSED * HEARTBEAT_S:.0f} s"
                    )

    def _connect(self) -> Any:
        """A connection to the store that waits only briefly."""
        return self._dist.TCPStore(  # pyright: ignore[reportPrivateImportUsage]
            os.environ["MASTER_ADDR"],
            int(os.environ["MASTER_PORT"]),
            is_master=False,
            wait_for_workers=False,
            timeout=timedelta(seconds=max(1.0, HEARTBEAT_S)),
        )

    def close(self) -> None:
        with self._beating, suppress(RuntimeError, OSError):
            self._closed = True
            self._connect().set(f"beat{self.rank}", _DONE)
        self._dist.destroy_process_group()


def join_world() -> World:
    """The processes that this one is started with, or itself alone.

    Raises MisuseError if the variables of the job are incomplete, and LostContactError if the
    processes do not find each other within ten minutes.
    """
    if rank_in_job() is None:
        return World()
    if parent := os.environ.get(WATCHED):
        threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    return Processes()


def _end_with(parent: int) -> None:
    """End this process when its parent has ended, which closes the other end of the pipe."""
    os.read(parent, 1)
    os._exit(LOST)


def _choose_interface(address: str) -> None:
    """Let gloo listen on the interface from which the address is reached: by itself it takes that
    of the host's name, which is often the loopback of this machine."""
    with suppress(OSError):
        own = local_address(address)
        for name, addresses in psutil.net_if_addrs().items():
            if any(each.address == own for each in addresses):
                os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
