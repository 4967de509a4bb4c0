"""What a checkpoint tells of the training that made it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

from mmengine.config import Config
from mmengine.dist import get_world_size

from micacl_mm.errors import DataError
from micacl_mm.utils.datasets import unwrap

from .config_hash import config_hash, inner_dataset, pretraining_of
from .machine import NO_COMMIT, git_commit
from .protocol import dataset_id

#: Where a checkpoint's ``meta`` holds :func:`training_facts`.
FACTS = 'micacl_mm'
#: In ``pretraining`` of a classifier that was retrained on frozen features.
RETRAINED = 'features_of_'


class Training(NamedTuple):
    """A training, as far as it is known.

    It is described when it starts, from the live config, and carried in
    the checkpoint as plain values: reading it runs no code.
    """

    #: Of the config, see :func:`config_hash`; empty if unknown.
    config_hash: str = ''
    method: str = ''
    #: Name of the weights it started from; empty if unknown.
    pretraining: str = ''
    #: Planned length; None for a training by iterations.
    max_epochs: Optional[int] = None
    max_iters: Optional[int] = None
    #: Split that its best checkpoints are best on, or ``'other'``.
    chosen_on: str = 'other'
    val_ratio: Optional[float] = None
    #: What it was trained on.
    dataset: str = ''
    subset: Optional[str] = None
    fold: Optional[int] = None
    #: Folder of the clips below the root, where a set lies there in copies.
    copy: Optional[str] = None
    #: Videos of each class; None where a video has no single one.
    class_counts: Optional[list[int]] = None
    processes: Optional[int] = None
    #: Of a bag.
    num_instances: Optional[int] = None
    #: Commits of this package, at each start.
    commits: list[str] = []
    #: Of the checkpoint, as MMEngine stores them.
    seed: Optional[int] = None
    epoch: Optional[int] = None
    iter: Optional[int] = None

    @classmethod
    def from_meta(cls, meta: Optional[Mapping[str, Any]]) -> 'Training':
        """Read the ``meta`` that MMEngine stores in checkpoints.

        Nothing is known of foreign checkpoints.
        """
        facts = (meta or {}).get(FACTS)
        if not isinstance(facts, Mapping):
            return cls()
        now = {name: meta.get(name) for name in ('seed', 'epoch', 'iter')}
        known = {**facts, **now}
        known = {k: known[k] for k in cls._fields if known.get(k) is not None}
        sound = all(_is_sound(name, value) for name, value in known.items())
        return cls(**known) if sound else cls()

    @property
    def is_complete(self) -> bool:
        """Whether the checkpoint is of the last epoch or iteration."""
        planned, done = self.max_epochs, self.epoch
        if planned is None:
            planned, done = self.max_iters, self.iter
        return None not in (planned, done) and done >= planned

    def selection(self, checkpoint: Optional[str]) -> str:
        """Return the rule by which the file of the checkpoint was chosen.

        ``'last'``, ``'val'`` (best on the validation slice), ``'test'`` (best
        on the test split) or ``'other'``. Without a file: the model that was
        just trained.
        """
        if Path(checkpoint or '').name.startswith('best_'):
            return self.chosen_on
        return 'last' if self.is_complete else 'other'

    def check_resumed(self, facts: Mapping[str, Any]) -> None:
        """Refuse to resume this training on other clips."""
        for name in ('dataset', 'fold', 'subset', 'copy', 'class_counts'):
            old, new = getattr(self, name), facts.get(name)
            if None not in (old, new) and old != '' and old != new:
                raise DataError(
                    f'--resume: the training so far had {name} {old}, now it '
                    f'is {new}',
                    'repeat the options of the first start, or train in '
                    'another --work-dir',
                )

    def mismatch(self, dataset: Any) -> str:
        """Say that the tested set is not of the split that was trained on.

        Empty if it is, as far as is known.
        """
        split = getattr(dataset, 'split', 'test')
        if split != 'test':
            return f'tested on the {split} split: this is not a result'
        fold = getattr(dataset, 'fold', None)
        if None not in (self.fold, fold) and str(self.fold) != str(fold):
            return (
                f'the checkpoint was trained on fold {self.fold}, which has '
                f'test clips of fold {fold}: this is not a result'
            )
        for name in ('dataset', 'subset', 'copy'):
            old, new = getattr(self, name), getattr(dataset, name, None)
            new = dataset_id(dataset) if name == 'dataset' else new
            if old and new and old != new:
                return (
                    f'the checkpoint was trained on {name} {old} and is '
                    f'tested on {new}; the record says "another rule"'
                )
        return ''


_TEXTS = ('config_hash', 'method', 'pretraining', 'chosen_on', 'dataset')
_LISTS = {'class_counts': int, 'commits': str}


def _is_sound(name: str, value: Any) -> bool:
    if name in _LISTS:
        return isinstance(value, list) and all(
            type(item) is _LISTS[name] for item in value
        )
    if name in (*_TEXTS, 'subset', 'copy'):
        return isinstance(value, str)
    if name == 'val_ratio':
        return type(value) in (int, float)
    return type(value) is int


def training_facts(
    config: Config,
    dataset: Any,
    class_counts: Optional[list[int]] = None,
    before: Optional[Mapping[str, Any]] = None,
) -> dict[str, Any]:
    """Describe a training that starts, for :class:`Training`.

    Args:
        config (Config): The live one.
        dataset: The training set.
        class_counts (list[int], optional): Its videos of each class.
        before (Mapping[str, Any], optional): ``meta`` of the checkpoint that
            the training is resumed from.
    """
    settings = config.to_dict()
    resumed = Training.from_meta(before)
    if resumed.pretraining:  # load_from names the resumed checkpoint by now
        settings['pretraining'] = resumed.pretraining
    dataset = unwrap(dataset)
    loop = settings.get('train_cfg') or {}
    commit = git_commit(config=config.filename) or NO_COMMIT
    return dict(
        config_hash=config_hash(settings),
        method=method_of(config),
        pretraining=pretraining_of(settings),
        max_epochs=loop.get('max_epochs'),
        max_iters=loop.get('max_iters'),
        chosen_on=chosen_on(settings),
        val_ratio=inner_dataset(settings.get('train_dataloader')).get(
            'val_ratio'
        ),
        dataset=dataset_id(dataset),
        subset=getattr(dataset, 'subset', None),
        fold=getattr(dataset, 'fold', None),
        copy=getattr(dataset, 'copy', None) or None,
        class_counts=class_counts,
        processes=get_world_size(),
        commits=[*dict.fromkeys([*resumed.commits, commit])],
    )


def method_of(config: Config) -> str:
    """Name of a method: the config's ``method``, or that of its file."""
    return str(config.get('method') or Path(config.filename or '').stem)


def chosen_on(config: Mapping[str, Any]) -> str:
    """Split that the best checkpoints of a training are best on.

    ``'val'``, ``'test'`` or ``'other'``; the config is a dict.
    """
    val = inner_dataset(config.get('val_dataloader'))
    test = inner_dataset(config.get('test_dataloader'))
    if val.get('split') in ('val', 'test'):
        return val['split']
    # Data sets that say it by other settings.
    return 'test' if val and val == test else 'other'


def find_class_counts(checkpoint: Mapping[str, Any]) -> list[int]:
    """Return the number of training videos of each class.

    They are kept by ``ResultHook``, and by our losses as a buffer.
    """
    counts = Training.from_meta(checkpoint.get('meta')).class_counts
    if counts:
        return counts
    for name, value in (checkpoint.get('state_dict') or {}).items():
        if name.endswith('class_counts') and value.any():
            return value.tolist()
    raise DataError(
        'logit adjustment needs the class counts of the training set, and '
        'the checkpoint holds none',
        'give them in the order of the classes: --class-counts 90 30 10',
    )
