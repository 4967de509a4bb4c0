"""Batches of a size that the loss needs and the GPU cannot hold."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from micacl_mm.errors import ConfigError, check_count
from micacl_mm.models.backbones.chunks import even_sizes, run_in_chunks
from micacl_mm.records.weights import bare_model
from micacl_mm.registry import HOOKS


@HOOKS.register_module()
class GradientCachingHook(Hook):
    """Runs the backbone in micro-batches, and again in the backward pass.

    Gradient caching of `Gao et al. <https://arxiv.org/abs/2101.06983>`_: the
    backbone computes the features of one micro-batch after the other without
    a graph; neck, losses and head see the whole batch; in the backward pass
    each micro-batch runs again with its graph and receives the gradient of
    its features. ``torch.utils.checkpoint`` does the second pass, with the
    same random numbers and autocast. Works with any optimizer wrapper and
    DDP.

    Exact: losses and gradients are those of the whole batch, unless the
    backbone normalises over the batch. **BatchNorm in training mode takes its
    statistics from a micro-batch**, as under gradient accumulation; its
    running statistics move once, as far as in one pass. Dropout draws other
    numbers than for an undivided batch.

    Costs one more forward pass of the backbone. Memory holds the activations
    of one micro-batch, and of neck and head for the whole batch.

    Args:
        micro_batch_size (int): Most videos of a micro-batch. A batch is
            divided into as few as possible, of nearly equal size.

    Raises:
        ConfigError: ``micro_batch_size`` is not positive, or the backbone
            takes no batch of clips.

    Example:
        >>> custom_hooks = [
        ...     dict(type='GradientCachingHook', micro_batch_size=8)
        ... ]
    """

    def __init__(self, micro_batch_size: int) -> None:
        check_count('GradientCachingHook', micro_batch_size=micro_batch_size)
        self.micro_batch_size = micro_batch_size
        self._videos = 0
        self._undo: list = []

    def before_train(self, runner: Runner) -> None:
        """Divide the batches of the backbone from now on."""
        self.after_train(runner)  # of a training that failed
        model = bare_model(runner.model)
        backbone = getattr(model, 'backbone', None)
        if not isinstance(backbone, nn.Module):
            return  # as the model with which vis_scheduler draws rates
        whole = backbone.forward

        def forward(x: Tensor, *args, **kwargs) -> Any:
            if not (backbone.training and torch.is_grad_enabled()):
                return whole(x, *args, **kwargs)
            return self._run(
                backbone, lambda part: whole(part, *args, **kwargs), x
            )

        backbone.forward = forward
        handle = model.register_forward_pre_hook(self._count, with_kwargs=True)
        self._undo = [
            handle.remove,
            lambda: delattr(backbone, 'forward'),
        ]

    def after_train(self, runner: Runner) -> None:
        """Leave the backbone as it was."""
        while self._undo:
            self._undo.pop()()

    def _count(self, model: nn.Module, args: tuple, kwargs: dict) -> None:
        """See how many videos the batch holds."""
        self._videos = len(args[0] if args else kwargs['inputs'])

    def _run(self, backbone: nn.Module, run, x: Tensor) -> Any:
        """From clips (B * M, ...) to their features, a chunk at a time."""
        if not isinstance(x, Tensor) or len(x) % self._videos:
            raise ConfigError(
                'GradientCachingHook: the backbone takes no batch of clips '
                'that can be divided',
                'remove the hook',
            )
        clips = len(x) // self._videos  # of a video
        sizes = even_sizes(len(x), self.micro_batch_size * clips, clips)
        if len(sizes) == 1:
            return run(x)
        return run_in_chunks(run, backbone, x, sizes, recompute=True)
