"""Batches of some clips, as SafeDataHook lets a training have them."""

from types import SimpleNamespace

from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from micacl_mm.hooks import SafeDataHook


class Log:
    """A logger that keeps what it is told."""

    def __init__(self):
        self.text = ''

    def warning(self, text):
        self.text += f'{text}\n'


def fetch(
    dataset,
    batches,
    work_dir,
    bad_data='raise',
    mode='train',
    seed=0,
    epochs=2,
    **options,
):
    """Batches of some epochs, and the log."""
    loader = DataLoader(
        dataset, batch_sampler=batches, collate_fn=pseudo_collate, **options
    )
    loop = SimpleNamespace(
        dataloader=loader, evaluator=SimpleNamespace(metrics=[])
    )
    runner = SimpleNamespace(
        **{f'{name}_loop': loop for name in ('train', 'val', 'test')},
        work_dir=str(work_dir),
        logger=Log(),
        seed=seed,
        epoch=0,
        iter=0,
    )
    hook = SafeDataHook(bad_data=bad_data)
    hook.before_run(runner)
    getattr(hook, f'before_{mode}')(runner)
    found = []
    for runner.epoch in range(epochs):
        if mode == 'train':
            hook.before_train_epoch(runner)
        found.append(list(loop.dataloader))
        for batch in found[-1]:
            getattr(hook, f'after_{mode}_iter')(runner, 0, batch)
        getattr(hook, f'after_{mode}_epoch')(runner)
    return found, runner.logger.text


def pixels(epochs):
    return [x for batches in epochs for b in batches for x in b['inputs']]


def labels(batch):
    return [int(sample.gt_label) for sample in batch['data_samples']]
