"""A callback of the Hugging Face Trainer, and of trainers made from it, such as those of TRL.

    trainer = Trainer(..., callbacks=[GenuiCallback()])

https://huggingface.co/docs/transformers/main_classes/callback
"""

from collections.abc import Callable, Mapping
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback

import genui

SHARED_EVERY = 10
"""Steps between two looks at what was requested, if several processes must do it together."""


class GenuiCallback(TrainerCallback):
    """Logs what the trainer logs, under its names. It takes stop and a new learning rate.

    The run is open until the script, the next training or `genui.finish` ends it: `evaluate` logs
    to it too.
    """

    def __init__(
        self,
        sample: Callable[[Any], Mapping[str, Any]] | None = None,
        batch: Callable[[Mapping[str, Any]], Any] | None = None,
        **init: Any,
    ) -> None:
        """`sample` makes texts or images of the model, by name, after each evaluation, and `batch`
        of the inputs of a step, for `Run.log_batch`; `init` are arguments of `genui.init`."""
        self._sample, self._batch = sample, batch
        self._init = init
        self._run: genui.Run | None = None
        self._hook: Any = None  # of the model, which sees the batches

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            if self._run is not None:
                self._run.finish()
            self._run = genui.init(**{"name": args.run_name, **self._init})
            self._run.config.update(args.to_sanitized_dict())
            if self._batch is not None:
                hook = self._log_batch
                self._hook = kwargs["model"].register_forward_pre_hook(hook, with_kwargs=True)

    def on_train_end(self, args, state, control, **kwargs):
        if self._hook is not None:
            self._hook.remove()

    def _log_batch(self, model, args, inputs):
        if model.training and self._run is not None and self._batch is not None:
            self._run.log_batch(self._batch(inputs))

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self._run is not None and logs:
            self._run.log(logs, step=state.global_step)

    def on_evaluate(self, args, state, control, model=None, **kwargs):
        if self._run is not None and self._sample is not None:
            self._run.log(self._sample(model), step=state.global_step)

    def on_step_end(self, args, state, control, optimizer=None, lr_scheduler=None, **kwargs):
        shared = args.world_size > 1
        if shared and state.global_step % SHARED_EVERY:
            return
        request: list[Any] = [False, None]
        if self._run is not None:
            request = [self._run.stop_requested, self._run.take_learning_rate()]
        control.should_training_stop |= (broadcast_object_list(request) if shared else request)[0]
        if learning_rate := request[1]:
            # The peak; what the schedule makes of it keeps its shape.
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] = learning_rate
            lr_scheduler.base_lrs = [learning_rate] * len(optimizer.param_groups)
