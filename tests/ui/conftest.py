"""Every test is on the stage of the app, also where it opens none."""

import pytest


@pytest.fixture(autouse=True)
def staged(app_stage: None) -> None: ...
