"""What a resumed training would not have of the one that was killed."""

from mmengine.hooks import EarlyStoppingHook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop, Runner


def resume_limits(runner: Runner) -> list[str]:
    """Name what no checkpoint of a training restores.

    Args:
        runner (Runner): That is about to train.

    Returns:
        list[str]: a sentence each; empty if it can be resumed to the bit.
    """
    return [*_accumulation(runner), *_early_stopping(runner)]


def _accumulation(runner: Runner) -> list[str]:
    wrapper = runner.optim_wrapper
    parts = [wrapper]
    if isinstance(wrapper, OptimWrapperDict):
        parts = list(wrapper.values())
    counts = {getattr(part, '_accumulative_counts', 1) for part in parts}
    if isinstance(runner.train_loop, IterBasedTrainLoop):
        return []  # docs/reliability.md: not to the bit in any case
    batches = len(runner.train_dataloader)
    return [
        f'the {batches} batches of an epoch are no multiple of '
        f'accumulative_counts={count}: gradients held over the end of an '
        'epoch are in no checkpoint, so a resumed training has other weights '
        'than an undisturbed one; choose a divisor, or another batch size'
        for count in sorted(counts)
        if batches % count
    ]


def _early_stopping(runner: Runner) -> list[str]:
    if not any(isinstance(it, EarlyStoppingHook) for it in runner.hooks):
        return []
    return [
        'EarlyStoppingHook keeps its count and best score in no checkpoint: '
        'a resumed training waits its whole patience again and may stop '
        'later than an undisturbed one'
    ]
