"""The messages between the app and the worker: frozen, typed, versioned.

They are the same for every family of models: a trace starts, advances by steps, forks by edits,
and every step sends one frame.

- `settings`: the settings and edits of a generation, which saved files hold too.
- `messages`: the requests of the app and the replies of the worker.
- `pipe`: how messages are sent.
"""

from genui.protocol.messages import *  # noqa: F403
from genui.protocol.pipe import *  # noqa: F403
from genui.protocol.settings import *  # noqa: F403
