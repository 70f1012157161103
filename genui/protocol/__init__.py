"""The messages between the app and the worker: frozen, typed, versioned.

Nothing here knows a family: a trace starts, advances by steps, forks by edits, and every step
sends one frame.

- `generation`: what is asked of a generation, which saved files hold too.
- `messages`: what the app asks of the worker, and what that answers.
- `pipe`: how messages travel.
"""

from genui.protocol.messages import *  # noqa: F403
from genui.protocol.pipe import *  # noqa: F403
from genui.protocol.settings import *  # noqa: F403
