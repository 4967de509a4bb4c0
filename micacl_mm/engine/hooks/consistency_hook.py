"""Refuse settings that would make figures silently wrong."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader, RandomSampler

from micacl_mm.leaderboard.tested import inner, sampling_in_words
from micacl_mm.registry import HOOKS


@HOOKS.register_module()
class ConsistencyHook(Hook):
    """Looks at model, data and evaluation before they are used.

    Refused at the start of a training or a test:

    - parts of the model, such as head and MCCL, whose ``num_classes`` is not
      the number of classes of the data set, with the names of both;
    - labels that are no class;
    - splits of one set with other classes or in another order;
    - a validation or test that draws (random transforms, random frames),
      leaves clips out (``drop_last``), or shuffles them.

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
        self._refuse(runner, loaders)

    def before_test(self, runner: Runner) -> None:
        """Look at all that a test uses."""
        self._refuse(runner, {'test': runner.test_dataloader})

    def _refuse(self, runner: Runner, loaders: dict[str, DataLoader]) -> None:
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        faults = [
            fault
            for split, loader in loaders.items()
            for fault in self._faults(split, loader, model)
        ]
        faults += _other_classes(loaders)
        if faults:
            raise ValueError('ConsistencyHook: ' + '; '.join(faults))

    def _faults(
        self, split: str, loader: DataLoader, model: Any
    ) -> Iterator[str]:
        classes = classes_of(loader)
        yield from _labels_out_of_range(split, loader, len(classes or ()))
        if classes:
            yield from _other_counts(model, classes)
        if split != 'train':
            yield from _wrong_evaluation(split, loader, self.random_test)


def classes_of(loader: DataLoader) -> Optional[list[str]]:
    """Names of the classes of a loader's data set, None if it has none."""
    meta = getattr(loader.dataset, 'metainfo', None) or {}
    names = meta.get('classes')
    return [str(name) for name in names] if names else None


def _other_counts(model: Any, classes: list[str]) -> Iterator[str]:
    """Parts that predict or contrast another number of classes."""
    for name, part in model.named_modules():
        counted = name.endswith('cls_head') or hasattr(
            part, 'set_class_counts'
        )
        number = getattr(part, 'num_classes', None)
        if counted and number not in (None, len(classes)):
            yield (
                f'{name} ({type(part).__name__}) has num_classes={number}, '
                f'but the data set has {len(classes)} classes '
                f'({", ".join(classes)}); set num_classes={len(classes)} there'
            )


def _labels_out_of_range(
    split: str, loader: DataLoader, number: int
) -> Iterator[str]:
    data = inner(loader.dataset)
    if not number or not hasattr(data, 'get_data_info'):
        return
    for index in range(len(data)):
        info = data.get_data_info(index)
        label = info.get('label')
        if isinstance(label, Integral) and not 0 <= label < number:
            name = info.get('video_id') or info.get('filename') or index
            yield (
                f'the label {label} of clip {name} of the {split} split is '
                f'none of its {number} classes, which count from 0; mend the '
                'annotation'
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
    where = f'{split}_dataloader'
    if loader.drop_last:
        yield (
            f'{where} has drop_last=True, which leaves clips out; set it to '
            'False'
        )
    shuffled = getattr(loader.sampler, 'shuffle', False)
    if shuffled or isinstance(loader.sampler, RandomSampler):
        yield (
            f'{where} shuffles the clips; set sampler=dict(type='
            "'DefaultSampler', shuffle=False)"
        )
    pipeline = getattr(inner(loader.dataset), 'pipeline', None)
    steps = [
        {'type': type(step).__name__, **vars(step)}
        for step in getattr(pipeline, 'transforms', ())
    ]
    drawn = sampling_in_words(steps).rpartition('chance in ')
    if drawn[1] and not random_test:
        yield (
            f'the pipeline of {where} draws by chance in {drawn[2]}; take '
            'that out, or set test_mode=True for the sampling of frames '
            '(ConsistencyHook(random_test=True) allows it)'
        )
