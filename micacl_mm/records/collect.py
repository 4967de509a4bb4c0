"""Put the record of a test together."""

import datetime
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.config import Config

from micacl_mm.utils.datasets import unwrap
from micacl_mm.version import __version__

from .config_text import inner_dataset
from .machine import NO_COMMIT, command_line, describe_machine, git_commit
from .record import SCHEMA
from .tested import (
    count_dropped,
    dataset_id,
    frames_of,
    sampling_in_words,
)
from .training import Training


def collect_record(
    config: Config,
    dataset: Any,
    training: Training,
    checkpoint: Optional[str],
    classes: list[str],
    matrix: torch.Tensor,
    metrics: dict[str, Optional[float]],
) -> dict[str, Any]:
    """Collect all that is known of a test.

    Args:
        config (Config): Of the test.
        dataset: The tested set.
        training (Training): Of the checkpoint.
        checkpoint (str, optional): Its file.
        classes (list[str]): Names of the K classes.
        matrix (Tensor): Confusion matrix (K, K), rows = truth.
        metrics (dict): In [0, 1]; None where a class is absent.

    Returns:
        dict: the record, see docs/protocol.md, without size and speed.
    """
    dataset, clips = unwrap(dataset), matrix.sum(dim=1)
    tested = inner_dataset(config.get('test_dataloader'))
    selection = training.selection(checkpoint)
    if training.mismatch(dataset):
        selection = 'other'
    commits = [
        *training.facts.get('commits', []),
        git_commit(config=config.filename) or NO_COMMIT,
    ]
    return {
        'schema': SCHEMA,
        'method': _method(config, training),
        'dataset': dataset_id(dataset),
        'frames': frames_of(dataset),
        'config': config.filename,
        'config_hash': training.hash,
        'version': __version__,
        'commit': ', '.join(dict.fromkeys(commits)),
        'command': command_line(),
        'seed': training.seed,
        'processes': training.facts.get('processes'),
        'fold': getattr(dataset, 'fold', None),
        'subset': getattr(dataset, 'subset', None),
        'selection': selection,
        'epoch': training.epoch,
        'max_epochs': training.max_epochs,
        'val_ratio': training.dataset.get('val_ratio'),
        'sampling': sampling_in_words(tested.get('pipeline', [])),
        'logit_adjust': None,
        'pretraining': training.pretraining,
        'checkpoint': checkpoint,
        'clips': int(clips.sum()),
        'dropped': count_dropped(dataset, int(clips.sum())),
        'classes': classes,
        'clips_per_class': clips.tolist(),
        'metrics': metrics,
        'confusion_matrix': matrix.tolist(),
        'machine': describe_machine(),
        'date': datetime.date.today().isoformat(),
    }


def _method(config: Config, training: Training) -> str:
    told = training.config.get('method') or config.get('method')
    return str(told or Path(config.filename or '').stem)
