"""A worker that trains nothing: what the Lab asks it answers at once, the same each time."""

import argparse
import os

import numpy as np
from fake_pipes import Fake, serve
from msgspec.structs import replace

from genui import protocol
from genui.kinds.lab.messages import GRID, Inspect, Inspection, LabSettings, Plane, PointsFrame
from genui.protocol.edits import add_edit, inputs_at

LEVELS = 5


def places(*points: tuple[float, float]) -> bytes:
    """Shares of the plane as they travel."""
    return (np.array(points) * 65535).round().astype("<u2").tobytes()


def plane(step: int) -> Plane:
    """Samples on a line that rises with the step, over a surface that is brighter to the right."""
    height = 0.2 + 0.5 * (step % 100) / 100
    surface = np.tile(np.linspace(0, 255, GRID), (GRID, 1))
    return Plane(
        samples=places(*((x, height) for x in np.linspace(0.1, 0.9, 40))),
        surface=surface.astype(np.uint8).tobytes(),
        arrows=places((0.5, 0.9), (0.6, 0.9)),
    )


class FakeLab(Fake):
    def answer(self, request: protocol.Request) -> None:
        match request:
            case protocol.Hello():
                self.send(
                    protocol.Ready(
                        version=protocol.VERSION, device="cpu", precision="fp32", threads=1,
                        pid=os.getpid(),
                    )
                )  # fmt: skip
            case protocol.Start(trace=trace, settings=settings) if not isinstance(
                settings, LabSettings
            ):
                self.send(protocol.Failed(trace, "this worker has nothing but the Lab"))
            case protocol.Start():
                self.opened(request, 0)
            case protocol.Fork():
                branch = add_edit(self.traces[request.parent], request.step, request.edit)
                branch = replace(branch, trace=request.trace)
                self.opened(branch, request.step)
            case protocol.Advance():
                self.advance(request)
            case Inspect():
                self.look(request)

    def opened(self, request: protocol.Start, step: int) -> None:
        if "one class" in request.prompt:
            self.send(protocol.Failed(request.trace, "these points are all of one class"))
            return
        self.traces[request.trace] = request
        self.send(
            protocol.Started(
                trace=request.trace,
                model=request.model,
                family=request.model.partition(":")[2],
                medium="points",
                prompt=request.prompt,
                total_steps=inputs_at(request)[2].steps,
                step=step,
                fingerprint="0123456789abcdef",
            )
        )
        self.send(self.frame(request, step))

    def look(self, request: Inspect) -> None:
        ways = [(0.1 + 0.8 * level / (LEVELS - 1), 0.5) for level in range(LEVELS)]
        self.send(
            Inspection(
                trace=request.trace,
                step=request.step,
                noise=request.noise,
                plane=plane(request.step),
                levels=LEVELS if request.paths else 0,
                paths=b"".join(places(way) for way in ways) if request.paths else b"",
            )
        )

    def frame(self, start: protocol.Start, step: int) -> PointsFrame:
        settings = inputs_at(start, step)[2]
        looked = step % settings.every == 0
        return PointsFrame(
            trace=start.trace,
            step=step,
            measures=(("loss", 3 / (step + 1)),) if step else (),
            digest=bytes(8),
            divergence=1 / (step + 1) if looked else None,
            plane=plane(step) if looked else None,
            data=b"" if step else places((0.25, 0.25), (0.75, 0.75)),
            classes=b"" if step else bytes((0, 1)),
        )

    def advance(self, request: protocol.Advance) -> None:
        start = self.traces.get(request.trace)
        if start is None:
            return
        total = inputs_at(start)[2].steps
        step, reason = self.step_to(request, min(request.start + request.steps, total))
        self.send(
            protocol.Idle(
                trace=request.trace, step=step, steps=step - request.start, seconds=0.0,
                total=total, reason="finished" if step >= total else reason,
            )
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.001, help="seconds a step")
    serve(FakeLab(parser.parse_args().delay))
