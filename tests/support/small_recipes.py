"""Settings by which recipes train in a moment, and to the same bits everywhere."""

HERE = {"threads": "1", "precision": "fp32", "device": "cpu"}

SMALL = HERE | {
    "network": "dit",
    "layers": "1",
    "width": "32",
    "heads": "2",
    "patch": "8",
    "caption_width": "16",
    "canvas_batch": "0",
    "caption_dropout": "0",
    "batch": "8",
    "one_word": "0",
}
"""Of a diffusion model of images."""
