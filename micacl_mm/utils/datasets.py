"""Data sets as they are, and within the wrappers of MMEngine and torch."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any

from torch.utils.data import Subset

from micacl_mm.errors import DataError


def innermost(dataset: Any) -> Iterator[Any]:
    """The built data sets, or their settings, within all wrappers."""
    parts = _get(dataset, 'datasets') or [_get(dataset, 'dataset')]
    parts = [p for p in parts if p is not None and not isinstance(p, str)]
    if not parts:
        yield dataset
    for part in parts:
        yield from innermost(part)


def unwrap(dataset: Any) -> Any:
    """The data set within wrappers of one; joined ones stay joined."""
    while (inner := _get(dataset, 'dataset')) is not None:
        if isinstance(inner, str):  # the name of one, in settings
            break
        dataset = inner
    return dataset


def data_info(dataset: Any, index: int) -> dict:
    """What a clip is that a data set or wrapper shows, unread."""
    if isinstance(dataset, Subset):
        return data_info(dataset.dataset, dataset.indices[index])
    if not hasattr(dataset, 'get_data_info'):
        for part in _get(dataset, 'datasets') or ():
            if index < len(part):
                return data_info(part, index)
            index -= len(part)
    return dataset.get_data_info(index)


def class_labels(dataset: Any, owner: str) -> list[int]:
    """The class of each shown clip, (len(dataset),).

    Raises:
        DataError: A label is no integer; it names the ``owner``, who asks.
    """
    labels = []
    for index in range(len(dataset)):
        label = data_info(dataset, index)['label']
        if not isinstance(label, Integral):
            raise DataError(
                f'{owner}: video {index} has the label {label!r}, but each '
                'must be of one class, an integer',
                'use DefaultSampler without a batch_sampler for videos of '
                'several classes',
            )
        labels.append(int(label))
    return labels


def distinct_labels(dataset: Any, owner: str) -> list[int]:
    """The class of each clip that is shown, once however often it is.

    ``RepeatDataset`` and ``ClassBalancedDataset`` show clips more often; a
    torch ``Subset`` or ``indices`` shows fewer.
    """
    if isinstance(dataset, Subset):
        labels = class_labels(dataset.dataset, owner)
        return [labels[index] for index in sorted(set(dataset.indices))]
    if (parts := _get(dataset, 'datasets')) is not None:
        return [k for part in parts for k in distinct_labels(part, owner)]
    if (inner := _get(dataset, 'dataset')) is not None:
        return distinct_labels(inner, owner)
    return class_labels(dataset, owner)


def _get(of: Any, name: str) -> Any:
    return of.get(name) if isinstance(of, dict) else getattr(of, name, None)
