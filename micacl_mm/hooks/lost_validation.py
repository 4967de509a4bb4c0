"""A validation that a kill has cut off."""

from typing import Optional

from mmengine.runner import IterBasedTrainLoop, Runner


def steps_done(runner: Runner) -> int:
    """Epochs, or iterations, that are done between two of them."""
    by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
    return runner.iter if by_iter else runner.epoch


def validation_is_due(runner: Runner, validated: Optional[int]) -> bool:
    """Whether the last step is one after which a validation belongs.

    Args:
        runner (Runner): Between two steps of its training.
        validated (int, optional): The step that was validated last.
    """
    loop, done = runner.train_loop, steps_done(runner)
    if runner.val_loop is None or not hasattr(loop, 'val_begin'):
        return False
    loop._decide_current_val_interval()
    last = loop.max_epochs
    if isinstance(loop, IterBasedTrainLoop):
        last = loop.max_iters
    due = done % loop.val_interval == 0 or done == last
    return due and done >= loop.val_begin and validated != done


def make_up_for_validation(runner: Runner) -> None:
    """Validate as it would have been done after the last step."""
    runner.logger.info('the validation before this checkpoint is made up for')
    now = dict(epoch=runner.epoch, iter=runner.iter)
    for name, number in now.items():  # as it was told then
        runner.message_hub.update_info(name, max(number - 1, 0))
    runner.val_loop.run()
    for name, number in now.items():
        runner.message_hub.update_info(name, number)
