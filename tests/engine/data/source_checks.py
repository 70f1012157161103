"""What readers of texts and of images have in common, for their tests."""

from typing import Any

from genui.engine.data.sources import Source, read


def check_reading_resumes_anywhere(source: Source) -> None:
    """After each batch the rest of the source is read again from the place that it reports."""
    steps: list[tuple[int, Any]] = list(read(source))
    assert len(steps) > 3
    for done, (file, batch) in enumerate(steps, 1):
        rest = [
            item for _, each in read(source, file, batch.place, batch.number) for item in each.items
        ]
        assert rest == [item for _, each in steps[done:] for item in each.items]
        assert 0 <= batch.share <= 1
