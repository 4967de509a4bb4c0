"""Batches of the clips of noise.py, by a loader with our fetcher."""

from itertools import chain

from torch.utils.data import DataLoader

from micacl_mm.hooks.bad_files import BadFileList
from micacl_mm.hooks.clip_fetcher import ClipFetcher, Settings
from micacl_mm.hooks.guarded_step import guard
from micacl_mm.hooks.numbered_batches import install


def fetch(
    dataset,
    batches,
    tmp_path,
    policy='raise',
    mode='train',
    seed=0,
    epochs=2,
    **options,
):
    """Batches of some epochs, and the fetcher."""
    guard(dataset)
    loader = DataLoader(
        dataset, batch_sampler=batches, collate_fn=list, **options
    )
    files = BadFileList(str(tmp_path), 0)
    workers = options.get('num_workers', 0)
    setting = Settings(policy, seed, 0, mode)
    fetcher = ClipFetcher(dataset, setting, files, workers)
    install(fetcher, loader)
    found = []
    try:
        for epoch in range(epochs):
            fetcher.epoch.fill_(epoch)
            found.append(list(loader))
    finally:
        if loader._iterator is not None:
            loader._iterator._shutdown_workers()
    return found, fetcher


def pixels(epochs):
    return [s['inputs'] for s in chain.from_iterable(chain(*epochs))]


def labels(batch):
    return [int(sample['data_samples'].gt_label) for sample in batch]
