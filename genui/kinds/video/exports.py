"""What the Canvas exports of clips."""

from genui.ui.traces.export import TREE, Format

CLIPS = (
    Format("gif", ".gif", "the clip as it is at step {step}, 256 colours",
        "clip", still=True, shrink=1),
    Format("apng", ".apng", "the clip as it is at step {step}, all colours",
        "clip", still=True, shrink=1),
    Format("mp4", ".mp4", "the clip as it is at step {step}, for players; needs ffmpeg",
        "clip", still=True, shrink=1),
    Format("png", ".png", "all frames of the {part} at step {step}",
        "frame", still=True, shrink=4),
    Format("film", ".png", "a filmstrip, ten steps from noise to clip, a row each",
        "film", shrink=8),
    Format("steps", ".gif", "every step, moving, all frames side by side",
        "animation", shrink=4),
    Format("cast", ".cast", "the clip as a recording of the terminal, for asciinema",
        "clip", still=True),
    TREE,
)  # fmt: skip
