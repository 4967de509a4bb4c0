"""What a checkpoint tells of the training that made it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

from mmengine.dist import get_world_size

from micacl_mm.utils.datasets import unwrap

from .config_hash import config_hash
from .config_text import inner_dataset, parse_config
from .machine import NO_COMMIT, git_commit
from .pretraining import pretraining_of
from .tested import dataset_id

#: Where a checkpoint's ``meta`` holds :func:`training_facts`.
FACTS = 'micacl_mm'


def training_facts(
    dataset: Any, config: Optional[str], before: Optional[Mapping[str, Any]]
) -> dict[str, Any]:
    """Tell what a training is that its config does not say.

    Args:
        dataset: The training set.
        config (str, optional): Path of the config.
        before (Mapping[str, Any], optional): ``meta`` of the checkpoint that
            the training goes on from.

    Returns:
        dict[str, Any]: ``processes``, ``dataset``, ``subset`` and
        ``commits``, those of all its parts, in plain types.
    """
    dataset = unwrap(dataset)
    commit = git_commit(config=config) or NO_COMMIT
    commits = plain_facts(before or {}).get('commits', [])
    return {
        'processes': get_world_size(),
        'dataset': dataset_id(dataset),
        'subset': getattr(dataset, 'subset', None),
        'commits': [*dict.fromkeys([*commits, commit])],
    }


def plain_facts(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Take :func:`training_facts` out of ``meta``, if they are such facts."""
    facts = meta.get(FACTS)
    if not isinstance(facts, Mapping):
        return {}
    commits = facts.get('commits', [])
    texts = [facts.get('dataset'), facts.get('subset') or '']
    if isinstance(commits, list):
        texts += commits
    counts = facts.get('class_counts') or []
    sound = (
        isinstance(commits, list)
        and all(isinstance(text, str) for text in texts)
        and isinstance(counts, list)
        and all(type(count) is int for count in counts)
    )
    return dict(facts) if sound else {}


def find_class_counts(checkpoint: Mapping[str, Any]) -> list[int]:
    """Return the number of training videos of each class.

    Args:
        checkpoint (Mapping[str, Any]): What a checkpoint file holds. The
            counts are kept by ``ResultHook``, and by our losses as a buffer.

    Raises:
        ValueError: It holds none.
    """
    counts = plain_facts(checkpoint.get('meta') or {}).get('class_counts')
    if counts:
        return list(counts)
    for name, value in (checkpoint.get('state_dict') or {}).items():
        if name.endswith('class_counts') and value.any():
            return value.tolist()
    raise ValueError(
        'logit adjustment needs the class counts of the training set, and '
        'the checkpoint holds none; give them in the order of the classes, '
        'such as --class-counts 90 30 10'
    )


def _number(value: Any) -> Optional[int]:
    known = isinstance(value, int) and not isinstance(value, bool)
    return value if known else None


class Training(NamedTuple):
    """The training of a checkpoint, as far as it is known."""

    #: Variables of its config; empty if unknown.
    config: dict[str, Any] = {}
    #: Its random seed.
    seed: Optional[int] = None
    #: Epochs and iterations done when the checkpoint was stored.
    epoch: Optional[int] = None
    iteration: Optional[int] = None
    #: From :func:`training_facts`; empty if unknown.
    facts: dict[str, Any] = {}

    @classmethod
    def from_meta(cls, meta: Optional[Mapping[str, Any]]) -> 'Training':
        """Read the ``meta`` that MMEngine stores in checkpoints.

        Foreign checkpoints have none, and then nothing is known.
        """
        meta = meta or {}
        try:
            config = parse_config(str(meta.get('cfg') or ''))
        except ValueError:
            config = {}
        if not config:
            return cls()
        numbers = (_number(meta.get(n)) for n in ('seed', 'epoch', 'iter'))
        training = cls(config, *numbers, plain_facts(meta))
        try:
            training.hash, training.chosen_on, training.is_complete  # noqa: B018
        except (
            *(AttributeError, TypeError, ValueError, LookupError),
            RecursionError,
        ):
            return cls()  # a stranger's text, that has the look of a config
        return training

    @property
    def hash(self) -> str:
        """Hash of the config; empty if that is unknown."""
        return config_hash(self.config) if self.config else ''

    @property
    def pretraining(self) -> str:
        """Name of the weights it started from; empty if unknown."""
        return pretraining_of(self.config) if self.config else ''

    @property
    def dataset(self) -> dict[str, Any]:
        """Settings of the training set."""
        return inner_dataset(self.config.get('train_dataloader'))

    @property
    def max_epochs(self) -> Optional[int]:
        """Planned length; None for a training by iterations."""
        return (self.config.get('train_cfg') or {}).get('max_epochs')

    @property
    def is_complete(self) -> bool:
        """Whether the checkpoint is of the last epoch or iteration."""
        loop = self.config.get('train_cfg') or {}
        if self.max_epochs is not None:
            return self.epoch is not None and self.epoch >= self.max_epochs
        planned = loop.get('max_iters')
        done = self.iteration
        return None not in (planned, done) and done >= planned

    @property
    def chosen_on(self) -> str:
        """Split that its best checkpoints are best on, or ``'other'``."""
        val = inner_dataset(self.config.get('val_dataloader'))
        test = inner_dataset(self.config.get('test_dataloader'))
        if val.get('split') in ('val', 'test'):
            return val['split']
        # Data sets that say it by other settings.
        return 'test' if val and val == test else 'other'

    def selection(self, checkpoint: Optional[str]) -> str:
        """Return the rule by which the checkpoint was chosen.

        Args:
            checkpoint (str, optional): Its file. None for a model that was
                just trained.

        Returns:
            str: ``'last'``, ``'val'`` (best on the validation slice),
            ``'test'`` (best on the test split) or ``'other'``.
        """
        if Path(checkpoint or '').name.startswith('best_'):
            return self.chosen_on if self.config else 'other'
        return 'last' if self.is_complete else 'other'

    def mismatch(self, dataset: Any) -> str:
        """Say that the tested set is not of the split that was trained on.

        Args:
            dataset: The tested set, without wrappers.

        Returns:
            str: A sentence; empty if it is, as far as is known.
        """
        own, fold = self.dataset.get('fold'), getattr(dataset, 'fold', None)
        if None not in (own, fold) and str(own) != str(fold):
            return (
                f'the checkpoint was trained on fold {own}, so it has seen '
                f'test clips of fold {fold}: this is no result'
            )
        trained = [self.facts.get(name) for name in ('dataset', 'subset')]
        tested = [dataset_id(dataset), getattr(dataset, 'subset', None)]
        if self.facts and trained != tested:
            names = [' '.join(filter(None, of)) for of in (trained, tested)]
            return (
                f'the checkpoint was trained on {names[0]} and is tested on '
                f'{names[1]}; the record says "another rule"'
            )
        return ''
