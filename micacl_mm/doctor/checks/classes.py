"""Classes of data, head, losses and checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from numbers import Integral
from typing import Any

from micacl_mm.apis.loading import load_weights
from micacl_mm.hooks.consistency_hook import counted_parts
from micacl_mm.hooks.result_hook import check_classes

from ..case import Case
from ..finding import Finding, blamed, failed, passed, skipped, some, warned
from ..registry import check


@check('classes', 'data', 'model')
def classes(case: Case) -> Iterator[Finding]:
    """Names, order and number of the classes are the same everywhere."""
    named = list(_named(case))
    if not named:
        yield passed('the data sets do not name their classes')
        return
    first, names = named[0]
    wrong = [
        failed(
            f'{first} has the classes {", ".join(names)}, {other} has '
            f'{", ".join(there)}',
            'make names and order agree: labels are numbers, and reports '
            'and plots name them in this order',
        )
        for other, there in named[1:]
        if there != names
    ]
    for part, _, count in counted_parts(case.model):
        if count != len(names):
            wrong.append(
                failed(
                    f'{part} has num_classes={count}, the data set '
                    f'{len(names)} classes ({", ".join(names)})',
                    f'set model.{part}.num_classes={len(names)}',
                )
            )
    yield from wrong or [passed(f'{len(names)}: {", ".join(names)}')]


def _named(case: Case) -> Iterator[tuple[str, list[str]]]:
    """Who names classes; what a set is known by comes first."""
    for name, dataset in case.built():
        # Labels come from files of the set, whose order the class knows.
        own = vars(type(dataset)).get('METAINFO', {}).get('classes')
        if own:
            yield type(dataset).__name__, list(map(str, own))
        given = dataset.metainfo.get('classes')
        if given:
            yield f'{name}_dataloader', list(map(str, given))
    for key in ('classes', 'class_names'):
        given = case.config.get(key)
        if isinstance(given, (list, tuple)) and given:
            yield f'{key} of the config', list(map(str, given))


@check('labels', 'data', 'model')
def labels(case: Case) -> Iterator[Finding]:
    """Labels are classes of the head, and no class is bare."""
    head = getattr(case.model, 'cls_head', None)
    size = getattr(head, 'num_classes', None)
    wrong, bare = [], []
    for name, dataset in case.built():
        counts = Counter(map(int, _labels(dataset)))
        count = size or len(dataset.metainfo.get('classes') or counts)
        outside = sorted(k for k in counts if not 0 <= k < count)
        if outside:
            wrong.append(f'{name} has labels {some(list(map(str, outside)))}')
        names = dataset.metainfo.get('classes') or range(count)
        lacking = [str(n) for i, n in enumerate(names) if not counts[i]]
        if lacking:
            bare.append(f'{name} has no clip of {some(lacking, 9)}')
    if wrong:
        yield failed(
            f'{"; ".join(wrong)}; the head has num_classes={count}',
            'mend the annotation, or model.cls_head.num_classes',
        )
    if bare:
        yield warned(
            '; '.join(bare),
            'restore the split file, or mind that UAR is of the classes '
            'that are there',
        )
    if not wrong and not bare:
        yield passed('all within the classes, none of which is bare')


def _labels(dataset: Any) -> Iterator[int]:
    for index in range(len(dataset)):
        label = dataset.get_data_info(index).get('label')
        if isinstance(label, Integral):  # others are of many classes
            yield int(label)


@check('checkpoint', 'data', 'model')
def checkpoint(case: Case) -> Iterator[Finding]:
    """The checkpoint fits model and classes."""
    path = case.options.checkpoint
    if not path:
        yield skipped('none was given (--checkpoint FILE)')
        return
    from mmengine.runner.checkpoint import _load_checkpoint

    try:
        loaded = _load_checkpoint(path, map_location='cpu')
    except Exception as error:  # of pickle, zip or torch
        yield blamed(error, f'{path} is no whole checkpoint: take another')
        return
    meta = loaded.get('meta') or {}
    fits = True
    for _, dataset in case.built():
        try:
            check_classes(meta, dataset)
        except ValueError as error:
            yield blamed(error, 'take another checkpoint')
            fits = False
            break
    try:
        load_weights(case.model, loaded)
    except ValueError as error:
        yield blamed(error, 'take the config that it was trained with')
        fits = False
    if fits:
        epoch = meta.get('epoch', 'unknown')
        yield passed(f'weights and classes fit, epoch {epoch}')
