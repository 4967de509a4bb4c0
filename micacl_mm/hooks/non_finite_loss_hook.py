"""Stop a training whose loss is no longer finite."""

import math
from typing import Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from micacl_mm.hooks.safe_data_hook import CLIP
from micacl_mm.registry import HOOKS

#: What names a clip; SafeDataHook provides the first.
_NAMES = (CLIP, 'video_id', 'frame_dir', 'filename', 'img_path')


class NonFiniteLossError(RuntimeError):
    """A loss was infinite or NaN."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stops at the first loss that is infinite or NaN.

    MMEngine trains on, and the next checkpoints are worthless. Here the
    training ends with an error that names the losses and the clips of the
    batch, which for the stock datasets of MMAction2 needs
    :class:`SafeDataHook`. Under fp16 the gradient scaler handles gradients
    that overflow; they are no losses. It reads the numbers that MMEngine has
    logged, and never waits for the device itself.

    Raises:
        NonFiniteLossError: After the iteration, on the rank that saw it.

    Example:
        >>> custom_hooks = [dict(type='NonFiniteLossHook')]
    """

    # Before the hooks that store checkpoints.
    priority = 'VERY_HIGH'

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Check the losses."""
        losses = _losses(runner, outputs or {})
        wrong = [n for n, x in losses.items() if not math.isfinite(x)]
        if not wrong:
            return
        values = ', '.join(f'{n} = {x:.4g}' for n, x in losses.items())
        raise NonFiniteLossError(
            f'NonFiniteLossHook: {" and ".join(wrong)} in epoch '
            f'{runner.epoch + 1}, iteration {runner.iter + 1} ({values}), '
            f'clips {", ".join(clip_names(data_batch))}. Fix: start a new '
            'training from the last checkpoint with a lower learning rate '
            '(--cfg-options '
            'load_from=FILE optim_wrapper.optimizer.lr=LR and a new '
            '--work-dir), as --resume keeps the old one and repeats the same '
            'batches; or --resume with optim_wrapper.clip_grad.max_norm=1 or, '
            'with --amp, optim_wrapper.dtype=bfloat16.'
        )


def clip_names(data_batch: Optional[dict]) -> list[str]:
    """Name the clips of a batch, ``'?'`` where a sample has no name."""
    names = []
    for sample in (data_batch or {}).get('data_samples', ()):
        found = (sample.get(key) for key in _NAMES if sample.get(key))
        names.append(str(next(found, '?')))
    return names


def _losses(runner: Runner, outputs: dict) -> dict[str, float]:
    """All losses as numbers, as RuntimeInfoHook has logged them before."""
    logged, losses = runner.message_hub.log_scalars, {}
    for name, value in outputs.items():
        if 'loss' not in name:
            continue
        if f'train/{name}' in logged:
            losses[name] = float(logged[f'train/{name}'].current())
        elif not isinstance(value, Tensor) or value.numel() == 1:
            losses[name] = float(value)
    return losses
