"""Trains the classifier alone."""

from typing import Optional

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from micacl_mm.errors import ConfigError
from micacl_mm.models.bag import Bag
from micacl_mm.models.necks import BaseBagNeck
from micacl_mm.models.necks.base_bag_neck import Losses
from micacl_mm.records.weights import bare_model
from micacl_mm.registry import HOOKS, MODELS


@HOOKS.register_module()
class RetrainClassifierHook(Hook):
    """Freezes all of a recognizer but its ``cls_head``.

    The second stage of `classifier retraining (cRT)
    <https://arxiv.org/abs/1910.09217>`_; ``micacl retrain-classifier`` adds
    this hook, balanced batches and a short schedule. What is frozen is in
    eval mode: batch statistics stay, nothing is dropped out. Auxiliary losses
    of necks are left out, as one that uses the class scores would train the
    head.

    Raises:
        ConfigError: With several processes: DDP has been told of the frozen
            parameters before this hook runs.
    """

    priority = 'VERY_HIGH'  # class counts come to the new head

    def before_train(self, runner: Runner) -> None:
        """Freeze, and re-initialise the head unless the run is resumed."""
        if get_world_size() > 1:
            raise ConfigError(
                'RetrainClassifierHook: a classifier is retrained by one '
                f'process, got {get_world_size()}',
                'leave out --launcher; the features are frozen, which makes '
                'it cheap',
            )
        head = getattr(bare_model(runner.model), 'cls_head', None)
        if head is None:
            return
        for parameter in bare_model(runner.model).parameters():
            parameter.requires_grad_(False)
        for parameter in head.parameters():
            parameter.requires_grad_(True)
        for part in bare_model(runner.model).modules():
            if isinstance(part, BaseBagNeck):
                part.losses = _no_losses
        if runner.iter > 0:
            return
        fresh = MODELS.build(runner.cfg.model.cls_head)
        fresh.init_weights()
        values = dict(fresh.named_parameters())
        for name, parameter in head.named_parameters():
            parameter.data.copy_(values[name])

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Keep the frozen modules in eval mode; each epoch leaves it."""
        for name, child in bare_model(runner.model).named_children():
            if name != 'cls_head' and child.training:
                child.eval()


def _no_losses(bag: Bag, labels: Optional[Tensor]) -> Losses:
    return {}
