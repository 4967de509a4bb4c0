"""Post-hoc logit adjustment in a test."""

from collections.abc import Sequence
from typing import Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from micacl_mm.models.logit_adjustment import adjust_logits
from micacl_mm.records.training import find_class_counts
from micacl_mm.registry import HOOKS


@HOOKS.register_module()
class LogitAdjustmentHook(Hook):
    """Tests a checkpoint with adjusted logits, see :func:`adjust_logits`.

    ``micacl test CONFIG CHECKPOINT --logit-adjust TAU`` adds it. Training and
    validation stay as they are. The record of the test says tau.

    Args:
        tau (float): Strength. Defaults to 1.0.
        class_counts (Sequence[int], optional): Training videos of each class.
            Defaults to None, those that the checkpoint tells.
    """

    def __init__(
        self, tau: float = 1.0, class_counts: Optional[Sequence[int]] = None
    ) -> None:
        self.tau = tau
        self.class_counts = class_counts
        self._checkpoint: dict = {}
        self._counts: Optional[Sequence[int]] = class_counts

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what the checkpoint says of its training."""
        self._checkpoint, self._counts = checkpoint, self.class_counts

    def before_test(self, runner: Runner) -> None:
        """Adjust the logits of the model."""
        counts = self._counts or find_class_counts(self._checkpoint)
        self._counts, self._checkpoint = counts, {}  # frees the weights
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        self._handle = adjust_logits(model, self.tau, counts)
        runner.logger.info(f'logits adjusted: tau {self.tau:g}, {counts}')

    def after_test(self, runner: Runner) -> None:
        """Restore the plain logits."""
        self._handle.remove()
