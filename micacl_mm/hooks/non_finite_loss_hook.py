"""Stop a training whose loss is no number any more."""

from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from micacl_mm.hooks.clip_fetcher import CLIP
from micacl_mm.registry import HOOKS

#: What names a clip, the first that a sample has. SafeDataHook sees to one.
NAMES = (CLIP, 'video_id', 'frame_dir', 'filename', 'img_path')


class NonFiniteLossError(RuntimeError):
    """A loss was infinite or no number."""


def clip_names(data_batch: Optional[dict]) -> list[str]:
    """Name the clips of a batch, as well as its samples tell.

    Args:
        data_batch (dict, optional): As it comes from a data loader.

    Returns:
        list[str]: One for each sample, ``'?'`` where it has no name.
    """
    names = []
    for sample in (data_batch or {}).get('data_samples', ()):
        found = (sample.get(key) for key in NAMES if sample.get(key))
        names.append(str(next(found, '?')))
    return names


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stops at the first loss that is infinite or no number.

    MMEngine trains on, and the checkpoints of the epoch are worth nothing.
    Here the training ends with the names of the batch's clips, each loss and
    a file to look at, ``non_finite_loss_rankR.pth`` in the work directory:
    the losses, the clips, the inputs, epoch and iteration. The names are
    those that :class:`SafeDataHook` gives the samples, for the stock
    pipelines of MMAction2 give them none and a clip is ``?`` then. The last
    checkpoint was written before and is whole. Gradients that overflow under
    fp16 are no losses: their steps are left out by the gradient scaler.

    Args:
        dump (bool): Write the file. Defaults to True.

    Raises:
        NonFiniteLossError: After the iteration, on the rank that saw it.

    Examples:
        >>> custom_hooks = [dict(type='NonFiniteLossHook')]
        >>> torch.load('non_finite_loss_rank0.pth')['losses']
        {'loss_cls': 1.9, 'loss_mccl': nan, 'loss': nan}
    """

    # Before the hooks that save, whatever they save on.
    priority = 'VERY_HIGH'

    def __init__(self, dump: bool = True) -> None:
        self.dump = dump

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Look at each loss; the log has read it from the device anyway."""
        losses = {
            name: float(torch.as_tensor(value).detach())
            for name, value in (outputs or {}).items()
            if 'loss' in name and _is_number(value)
        }
        wrong = [n for n, x in losses.items() if not abs(x) < float('inf')]
        if not wrong:
            return
        names = clip_names(data_batch)
        path = Path(runner.work_dir, f'non_finite_loss_rank{get_rank()}.pth')
        told = f'; {path} holds the batch' if self.dump else ''
        if self.dump:
            dump = {
                'epoch': runner.epoch,
                'iter': runner.iter,
                'losses': losses,
                'clips': names,
                'inputs': (data_batch or {}).get('inputs'),
            }
            try:
                torch.save(dump, path)
            except (OSError, RuntimeError) as error:  # torch raises both
                told = f'; {path} could not be written ({error})'
        values = ', '.join(f'{n} = {x:.4g}' for n, x in losses.items())
        raise NonFiniteLossError(
            f'NonFiniteLossHook: {" and ".join(wrong)} in epoch '
            f'{runner.epoch + 1}, iteration {runner.iter + 1} ({values}), on '
            f'the clips {", ".join(names)}{told}. Start anew from the last '
            'checkpoint with a lower rate (--cfg-options load_from=CHECKPOINT '
            'optim_wrapper.optimizer.lr=LR and a new --work-dir), for '
            '--resume keeps the old rate and gives the same batches; or '
            '--resume with optim_wrapper.clip_grad.max_norm=1 or, with --amp, '
            'optim_wrapper.dtype=bfloat16'
        )


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, (int, float))
