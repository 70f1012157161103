"""The records that Home plays before its worker is there, written into the package.

    GENUI_THREADS=1 python -m tests.bench records

Each is a trace of a shipped model that keeps its frames: `genui replay
genui/weights/records/text.trace` generates it again and compares.
"""

from msgspec.structs import replace

from genui.cli.generation import generate, saved_tree
from genui.formats.frames import pack_frames
from genui.formats.trees import save_tree
from genui.kinds.lab.messages import LabSettings
from genui.protocol import Start, TextSettings
from genui.protocol.kinds import KINDS, find_weights

RECORDS = {
    "canvas": Start(
        trace=0,
        model="video",
        prompt="white cat bouncing on purple",
        seed=1,
        settings=KINDS["diffusion", "video"].defaults,
    ),
    "text": Start(trace=0, model="shakespeare", prompt="ROMEO:\n", seed=2, settings=TextSettings()),
    "training": Start(
        trace=0,
        model="lab:flow",
        prompt="two moons",
        seed=1,
        settings=LabSettings(steps=240, every=12),
    ),
}
"""The pane to what it shows. Canvas and Text have the usual settings, since what is generated next
begins with them."""


def main() -> None:
    for pane, start in RECORDS.items():
        made = generate(start)
        frames = pack_frames(made.started, made.frames, effort=9)
        tree = replace(saved_tree(start.prompt.strip(), made), frames=frames, created=1.0)
        path = save_tree(tree, find_weights(f"records/{pane}.trace"))
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
