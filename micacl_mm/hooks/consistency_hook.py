"""Refuse settings that would make figures silently wrong."""

from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral
from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import (
    DataLoader,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from micacl_mm.records.tested import leaves, sampling_in_words
from micacl_mm.registry import HOOKS

_MIXING = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


@HOOKS.register_module()
class ConsistencyHook(Hook):
    """Looks at model, data and evaluation before they are used.

    Refused at the start of a training or a test:

    - parts of the model, such as head and MCCL, whose ``num_classes`` is not
      the number of classes of the data set, with the names of both;
    - labels that are no class, or none of the head's if the data set does not
      name its classes;
    - splits of one set with other classes or in another order;
    - a validation or test that draws (random transforms, random frames),
      leaves clips out (``drop_last``), shuffles or repeats them.

    At the start of a training the test is known by its settings alone: what
    draws, is left out or shuffled there is refused at once.

    Args:
        random_test (bool): Let validation and test draw, for whoever wants
            that. Defaults to False.

    Raises:
        ValueError: With all faults found and what to do about each.
    """

    def __init__(self, random_test: bool = False) -> None:
        self.random_test = random_test

    def before_train(self, runner: Runner) -> None:
        """Look at all that a training uses."""
        loaders = {'train': runner.train_dataloader}
        # Built here if it was not yet, as the loop would do anyway.
        loop = runner.val_loop
        if loop is not None:
            loaders['val'] = loop.dataloader
        config = getattr(runner, 'cfg', None) or {}
        settings = config.get('test_dataloader')
        known = isinstance(settings, Mapping)
        more = _wrong_settings(settings, self.random_test) if known else ()
        self._refuse(runner, loaders, more)

    def before_test(self, runner: Runner) -> None:
        """Look at all that a test uses."""
        self._refuse(runner, {'test': runner.test_dataloader})

    def _refuse(
        self,
        runner: Runner,
        loaders: dict[str, DataLoader],
        more: Iterable[str] = (),
    ) -> None:
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        faults = [
            fault
            for split, loader in loaders.items()
            for fault in self._faults(split, loader, model)
        ]
        faults += [*_other_classes(loaders), *more]
        if faults:
            raise ValueError('ConsistencyHook: ' + '; '.join(faults))

    def _faults(
        self, split: str, loader: DataLoader, model: Any
    ) -> Iterator[str]:
        classes = classes_of(loader)
        for data in leaves(loader.dataset):
            yield from _labels_out_of_range(split, data, classes, model)
        if classes:
            yield from _other_counts(model, classes)
        if split != 'train':
            yield from _wrong_evaluation(split, loader, self.random_test)


def classes_of(loader: DataLoader) -> Optional[list[str]]:
    """Names of the classes of a loader's data set, None if it has none."""
    for data in (loader.dataset, *leaves(loader.dataset)):
        names = (getattr(data, 'metainfo', None) or {}).get('classes')
        if names:
            return [str(name) for name in names]
    return None


def counted_parts(model: Any) -> Iterator[tuple[str, Any, int]]:
    """Parts that predict or contrast classes, and how many.

    A backbone's ``num_classes`` is of a classifier that is not used: timm
    sets it to 0.

    Args:
        model (nn.Module): The whole one.

    Yields:
        tuple[str, nn.Module, int]: Name, part and its ``num_classes``.
    """
    for name, part in model.named_modules():
        counted = name.endswith('cls_head') or hasattr(
            part, 'set_class_counts'
        )
        number = getattr(part, 'num_classes', None)
        if counted and isinstance(number, Integral):
            yield name, part, int(number)


def _other_counts(model: Any, classes: list[str]) -> Iterator[str]:
    """Parts that predict or contrast another number of classes."""
    for name, part, number in counted_parts(model):
        if number != len(classes):
            yield (
                f'{name} ({type(part).__name__}) has num_classes={number}, '
                f'but the data set has {len(classes)} classes '
                f'({", ".join(classes)}); set num_classes={len(classes)} there'
            )


def _labels_out_of_range(
    split: str, data: Any, classes: Optional[list[str]], model: Any
) -> Iterator[str]:
    number, whose, least = len(classes or ()), 'its', 0
    if not number:
        heads = [
            n for name, _, n in counted_parts(model) if 'cls_head' in name
        ]
        # Data sets of MMAction2 mark clips without a label by -1.
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
                f'none of {whose} {number} classes, which count from 0; mend '
                'the annotation'
            )
            return


def _other_classes(loaders: dict[str, DataLoader]) -> Iterator[str]:
    known = {s: classes_of(loader) for s, loader in loaders.items()}
    known = {split: names for split, names in known.items() if names}
    if len(known) == 2 and len({tuple(n) for n in known.values()}) == 2:
        (one, first), (other, second) = known.items()
        yield (
            f'the classes of {one} are {", ".join(first)}, those of {other} '
            f'{", ".join(second)}; they must be the same in the same order'
        )


def _wrong_evaluation(
    split: str, loader: DataLoader, random_test: bool
) -> Iterator[str]:
    batches = loader.batch_sampler
    samplers = loader.sampler, getattr(batches, 'sampler', None)
    yield from _told(
        split,
        loader.drop_last or getattr(batches, 'drop_last', False),
        any(
            getattr(sampler, 'shuffle', False) or isinstance(sampler, _MIXING)
            for sampler in samplers
        ),
        map(_transforms, leaves(loader.dataset)),
        random_test,
    )
    clips = sum(map(_size, leaves(loader.dataset)))
    if _size(loader.dataset) > clips:
        yield (
            f'{split}_dataloader shows {_size(loader.dataset)} clips, but '
            f'there are {clips}; take {type(loader.dataset).__name__} out'
        )


def _size(dataset: Any) -> int:
    return len(dataset) if hasattr(dataset, '__len__') else 0


def _wrong_settings(loader: Mapping, random_test: bool) -> Iterator[str]:
    """The same of a test that is not built yet, as far as it is told."""
    batches = loader.get('batch_sampler') or {}
    sampler = loader.get('sampler') or {}
    kind = sampler.get('type', '')  # the class itself in a Python config
    mixes = getattr(kind, '__name__', str(kind)).endswith('DefaultSampler')
    yield from _told(
        'test',
        loader.get('drop_last') or batches.get('drop_last'),
        loader.get('shuffle') or sampler.get('shuffle', mixes),
        map(_transforms, leaves(loader.get('dataset') or {})),
        random_test,
    )


def _told(
    split: str,
    drop_last: bool,
    shuffled: bool,
    pipelines: Iterable[Any],
    random_test: bool,
) -> Iterator[str]:
    where = f'{split}_dataloader'
    if drop_last:
        yield (
            f'{where} has drop_last=True, which leaves clips out; set it to '
            'False'
        )
    if shuffled:
        yield (
            f'{where} shuffles the clips; set sampler=dict(type='
            "'DefaultSampler', shuffle=False)"
        )
    words = map(sampling_in_words, pipelines)
    drawn = [word.rpartition('chance in ') for word in words]
    drawn = list(dict.fromkeys(name for _, found, name in drawn if found))
    if drawn and not random_test:
        yield (
            f'the pipeline of {where} draws by chance in '
            f'{" and in ".join(drawn)}; take that out, or set test_mode=True '
            'for the sampling of frames '
            '(ConsistencyHook(random_test=True) allows it)'
        )


def _transforms(dataset: Any) -> Any:
    """Those of a data set, whether it is built or not."""
    if isinstance(dataset, Mapping):
        return dataset.get('pipeline') or ()
    return getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
