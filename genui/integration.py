"""`wandb.integration` of a script that puts genui in the place of wandb: says what to use instead.

A callback of wandb's has to be of a class of its library, so none can be answered by doing nothing.
"""

raise ImportError(
    "genui has no wandb.integration: genui.integrations has callbacks of its own, and "
    "init(sync_tensorboard=True) takes what a SummaryWriter writes (genui help scripts)"
)
