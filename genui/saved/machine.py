"""What a trace was computed on: other choices round differently, and so give other bits."""

from typing import Annotated

from msgspec import Meta, Struct

_Name = Annotated[str, Meta(max_length=200)]


class Machine(Struct, frozen=True, kw_only=True):
    """The device, the precision, the number of threads, the processor and the torch."""

    device: _Name = ""
    precision: _Name = ""
    threads: Annotated[int, Meta(ge=0, le=4096)] = 0
    processor: _Name = ""
    torch: _Name = ""

    def differs(self, now: "Machine") -> list[str]:
        """What is another on the machine `now`, each as `threads 1 then, 2 now`."""
        pairs = ((name, getattr(self, name), getattr(now, name)) for name in self.__struct_fields__)
        return [
            f"{name} {was or 'unknown'} then, {is_} now" for name, was, is_ in pairs if was != is_
        ]
