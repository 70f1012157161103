"""What readers of texts and of images have in common, for their tests."""

from typing import Any

from genui.engine.data.sources import Source, read


def check_reading_resumes_anywhere(source: Source) -> None:
    """After each batch the rest of the source is read again from the batch after it."""
    steps: list[Any] = list(read(source))
    assert len(steps) > 3
    for done, batch in enumerate(steps, 1):
        rest = [item for each in read(source, batch.file, batch.number) for item in each.items]
        assert rest == [item for each in steps[done:] for item in each.items]
        assert 0 <= batch.share <= 1
    assert [each.share for each in steps] == sorted(each.share for each in steps)
