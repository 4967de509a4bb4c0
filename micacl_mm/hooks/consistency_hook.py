"""Refuse settings that would make results silently wrong."""

from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral
from typing import Any, Optional

from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import (
    DataLoader,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from micacl_mm.errors import ConfigError
from micacl_mm.records.protocol import sampling_in_words
from micacl_mm.records.weights import bare_model
from micacl_mm.registry import HOOKS
from micacl_mm.utils.datasets import innermost

_RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


@HOOKS.register_module()
class ConsistencyHook(Hook):
    """Checks model, data and evaluation before they are used.

    Refused at the start of a training or a test:

    - a training set that does not fill one batch;
    - parts of the model, such as head and MCCL, whose ``num_classes`` differs
      from the number of classes of the dataset;
    - labels outside of the classes, or of the head's if the dataset does not
      name its classes;
    - splits with other classes or another order of classes;
    - a validation or test that is random (transforms, frame sampling), drops
      clips (``drop_last``), shuffles or repeats them. The test is checked by
      its settings at the start of a training already.

    Raises:
        ConfigError: With all faults.
    """

    def before_train(self, runner: Runner) -> None:
        """Check everything that a training uses."""
        loaders = {'train': runner.train_dataloader}
        if fills_no_batch(runner.train_dataloader):
            raise empty_epoch(runner.train_dataloader)
        if runner.val_loop is not None:
            loaders['val'] = runner.val_loop.dataloader
        test = (getattr(runner, 'cfg', None) or {}).get('test_dataloader')
        known = isinstance(test, Mapping)
        more = wrong_settings('test', test) if known else ()
        self._refuse(runner, loaders, more)

    def before_test(self, runner: Runner) -> None:
        """Check everything that a test uses."""
        self._refuse(runner, {'test': runner.test_dataloader})

    def _refuse(
        self,
        runner: Runner,
        loaders: dict[str, DataLoader],
        more: Iterable[str] = (),
    ) -> None:
        model = bare_model(runner.model)
        faults = [*find_faults(model, loaders), *more]
        if faults:
            raise ConfigError('ConsistencyHook: ' + '; '.join(faults))


def find_faults(
    model: nn.Module, loaders: dict[str, DataLoader]
) -> Iterator[str]:
    """Find what does not fit between model, data and evaluation.

    Yields:
        str: A fault, with what to do after the last colon.
    """
    for split, loader in loaders.items():
        classes = classes_of(loader.dataset)
        for data in innermost(loader.dataset):
            yield from _wrong_labels(split, data, classes, model)
        if classes:
            yield from _wrong_counts(model, classes)
        if split != 'train':
            yield from _wrong_evaluation(split, loader)
    yield from _other_classes(loaders)


def _wrong_evaluation(split: str, loader: DataLoader) -> Iterator[str]:
    batches = loader.batch_sampler
    samplers = loader.sampler, getattr(batches, 'sampler', None)
    data = list(innermost(loader.dataset))
    drops = loader.drop_last or getattr(batches, 'drop_last', False)
    shuffles = any(
        getattr(s, 'shuffle', False) or isinstance(s, _RANDOM)
        for s in samplers
    )
    yield from _wrong_loading(split, drops, shuffles, data)
    shown, clips = _size(loader.dataset), sum(map(_size, data))
    if shown > clips:
        yield (
            f'{split}_dataloader shows {shown} clips, but there are {clips}: '
            f'remove {type(loader.dataset).__name__}'
        )


def fills_no_batch(loader: DataLoader) -> bool:
    """Whether epochs are empty; an endless sampler fills any batch."""
    sampler = getattr(loader.batch_sampler, 'sampler', None)
    return not (len(loader) or isinstance(sampler, InfiniteSampler))


def empty_epoch(loader: DataLoader) -> ConfigError:
    """Make the error of a training set that does not fill one batch."""
    clips = len(loader.dataset)
    return ConfigError(
        f'the training set has {clips} clips, which do not fill one batch of '
        f'{loader.batch_sampler.batch_size}, and drop_last drops it',
        '--cfg-options train_dataloader.drop_last=False, or a smaller '
        f'train_dataloader.batch_size, such as {max(1, clips // 2)}',
    )


def wrong_settings(split: str, loader: Mapping) -> Iterator[str]:
    """Find what makes a validation or test random or partial."""
    batches = loader.get('batch_sampler') or {}
    sampler = loader.get('sampler') or {}
    kind = sampler.get('type', '')  # a class in a pure-Python config
    shuffles = getattr(kind, '__name__', str(kind)) == 'DefaultSampler'
    yield from _wrong_loading(
        split,
        loader.get('drop_last') or batches.get('drop_last'),
        loader.get('shuffle') or sampler.get('shuffle', shuffles),
        innermost(loader.get('dataset') or {}),
    )


def _wrong_loading(
    split: str, drop_last: bool, shuffled: bool, data: Iterable[Any]
) -> Iterator[str]:
    where = f'{split}_dataloader'
    if drop_last:
        yield f'{where} has drop_last=True, which omits clips: set False'
    if shuffled:
        yield (
            f'{where} shuffles the clips: set sampler=dict(type='
            "'DefaultSampler', shuffle=False)"
        )
    words = map(sampling_in_words, map(_transforms, data))
    parts = [word.rpartition('chance in ') for word in words]
    names = dict.fromkeys(name for _, found, name in parts if found)
    if names:
        yield (
            f'the pipeline of {where} is random in {" and ".join(names)}: '
            'remove that, or set test_mode=True where frames are sampled'
        )


def classes_of(dataset: Any) -> Optional[list[str]]:
    """Names of the classes of a dataset, None if it has none."""
    for data in (dataset, *innermost(dataset)):
        names = (getattr(data, 'metainfo', None) or {}).get('classes')
        if names:
            return [str(name) for name in names]
    return None


def counted_parts(model: nn.Module) -> Iterator[tuple[str, nn.Module, int]]:
    """Heads and losses, by name, that have a number of classes.

    A backbone's ``num_classes`` is that of an unused classifier: timm sets it
    to 0.
    """
    for name, part in model.named_modules():
        counted = name.endswith('cls_head') or hasattr(
            part, 'set_class_counts'
        )
        number = getattr(part, 'num_classes', None)
        if counted and isinstance(number, Integral):
            yield name, part, int(number)


def _wrong_counts(model: nn.Module, classes: list[str]) -> Iterator[str]:
    for name, part, number in counted_parts(model):
        if number != len(classes):
            yield (
                f'{name} ({type(part).__name__}) has num_classes={number}, '
                f'but the dataset has {len(classes)} classes '
                f'({", ".join(classes)}): set num_classes={len(classes)}'
            )


def _wrong_labels(
    split: str, data: Any, classes: Optional[list[str]], model: nn.Module
) -> Iterator[str]:
    number, whose, least = len(classes or ()), 'its', 0
    if not number:
        heads = [n for name, _, n in counted_parts(model) if 'head' in name]
        # Datasets of MMAction2 mark clips without a label by -1.
        number, whose, least = max(heads, default=0), "the head's", -1
    if not number or not hasattr(data, 'get_data_info'):
        return
    for index in range(len(data)):
        info = data.get_data_info(index)
        label = info.get('label')
        if isinstance(label, Integral) and not least <= label < number:
            name = info.get('video_id') or info.get('filename') or index
            yield (
                f'the label {label} of clip {name} of the {split} split is '
                f'none of {whose} {number} classes, which count from 0: '
                'correct the annotation'
            )
            return


def _other_classes(loaders: dict[str, DataLoader]) -> Iterator[str]:
    found = [(s, classes_of(loader.dataset)) for s, loader in loaders.items()]
    found = [(split, names) for split, names in found if names]
    for split, names in found[1:]:
        first, expected = found[0]
        if names != expected:
            yield (
                f'the classes of {first} are {", ".join(expected)}, those of '
                f'{split} {", ".join(names)}: make names and order agree'
            )


def _size(dataset: Any) -> int:
    return len(dataset) if hasattr(dataset, '__len__') else 0


def _transforms(dataset: Any) -> Any:
    """Those of a dataset, or of its settings."""
    if isinstance(dataset, Mapping):
        return dataset.get('pipeline') or ()
    return getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
