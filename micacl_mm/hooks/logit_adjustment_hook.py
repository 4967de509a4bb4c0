"""Post-hoc logit adjustment in a test."""

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.utils.hooks import RemovableHandle

from micacl_mm.models.logit_adjustment import adjust_logits
from micacl_mm.records.training import RETRAINED, Training, find_class_counts
from micacl_mm.records.weights import bare_model
from micacl_mm.registry import HOOKS


def adjust_by_checkpoint(
    model: nn.Module,
    tau: float,
    checkpoint: Mapping[str, Any],
    class_counts: Optional[Sequence[int]] = None,
) -> RemovableHandle:
    """Adjust the logits of a model by what its checkpoint tells.

    See :func:`adjust_logits`; ``class_counts`` count instead of those of the
    checkpoint.
    """
    before = Training.from_meta(checkpoint.get('meta')).pretraining
    loss = getattr(getattr(model, 'cls_head', None), 'loss_cls', None)
    if RETRAINED in before and hasattr(loss, 'logit_adjustment'):
        # By plain cross-entropy, unlike the features that the config is of.
        loss.logit_adjustment = 0.0
    counts = class_counts or find_class_counts(checkpoint)
    return adjust_logits(model, tau, counts)


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
        self._known: dict = {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what the checkpoint says of its training."""
        state = checkpoint.get('state_dict') or {}
        counts = {k: v for k, v in state.items() if k.endswith('class_counts')}
        self._known = dict(meta=checkpoint.get('meta'), state_dict=counts)

    def before_test(self, runner: Runner) -> None:
        """Adjust the logits of the model."""
        model = bare_model(runner.model)
        self._handle = adjust_by_checkpoint(
            model, self.tau, self._known, self.class_counts
        )
        runner.logger.info(f'logits adjusted: tau {self.tau:g}')

    def after_test(self, runner: Runner) -> None:
        """Restore the plain logits."""
        self._handle.remove()
