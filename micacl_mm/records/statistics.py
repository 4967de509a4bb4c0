"""Mean, standard deviation and confidence interval of repeated runs."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, Optional

import numpy as np
from scipy import stats
from torch import Tensor

from micacl_mm.errors import DataError
from micacl_mm.evaluation import RecallMetric

#: Confidence level of all intervals.
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean with its confidence interval, mean +- half_width.

    The interval assumes independent values. Folds are not: any two of five
    share three quarters of their training clips, so an interval over folds
    is approximate and rather too narrow.
    """

    #: Mean of the values, in their unit.
    mean: float
    #: Sample standard deviation; None for one value.
    std: Optional[float]
    #: Half the width of the Student-t interval; None for one value.
    half_width: Optional[float]
    #: Number of values.
    count: int


def interval(values: Sequence[float]) -> Interval:
    """Summarise replicates by the Student-t interval of their mean.

    Raises:
        DataError: There is no value, or one is not finite.
    """
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise DataError(
            'interval: values must be at least one finite number, got '
            f'{list(values)}',
            'leave out what is unknown',
        )
    mean, count = float(numbers.mean()), len(numbers)
    if count == 1:
        return Interval(mean, None, None, 1)
    half_width = _quantile(count - 1) * stats.sem(numbers)
    return Interval(mean, float(numbers.std(ddof=1)), float(half_width), count)


def _quantile(freedom: float) -> float:
    return stats.t.ppf((1 + LEVEL) / 2, df=freedom)


def replicates(
    values: Iterable[tuple[Hashable, Hashable, float]],
) -> list[float]:
    """Reduce runs, of fold, seed and value, to independent values.

    With several folds the replicates are the folds, each the mean over its
    seeds; with one fold, or None, they are the seeds. Several runs of a fold
    and seed, by other code, are averaged first.
    """
    runs = defaultdict(list)
    for fold, seed, value in values:
        runs[fold, seed].append(value)
    means = {run: float(np.mean(found)) for run, found in runs.items()}
    folds = defaultdict(list)
    for fold, seed in sorted(means, key=str):
        folds[fold].append(means[fold, seed])
    if len(folds) == 1:
        return next(iter(folds.values()))
    return [float(np.mean(found)) for found in folds.values()]


def metric_intervals(
    runs: Iterable[tuple[tuple[Hashable, Hashable], Tensor]],
    classes: Sequence[str],
) -> dict[str, Interval]:
    """Summarise tests over their folds or seeds.

    Args:
        runs (Iterable): Fold and seed, and the confusion matrix (K, K).
        classes (Sequence[str]): Names of the K classes.

    Returns:
        dict[str, Interval]: UAR, WAR, F1 and ``recall/<class>`` in [0, 1],
        without the classes of which no test has a clip.
    """
    values = defaultdict(list)
    for (fold, seed), matrix in runs:
        for name, value in RecallMetric.summarise(matrix, classes).items():
            if value == value:
                values[name].append((fold, seed, value))
    return {name: interval(replicates(v)) for name, v in values.items()}


def difference(reference: Interval, other: Interval) -> tuple[float, float]:
    """Compare two means by Welch's interval, which allows unequal spreads.

    Returns:
        tuple[float, float]: other minus reference, and half the width of
        the interval.
    """
    value = other.mean - reference.mean
    if not (reference.std or other.std):
        return value, 0.0
    errors = [group.std**2 / group.count for group in (reference, other)]
    # Welch and Satterthwaite's degrees of freedom.
    freedom = sum(errors) ** 2 / sum(
        error**2 / (group.count - 1)
        for error, group in zip(errors, (reference, other), strict=True)
    )
    return value, float(_quantile(freedom) * sum(errors) ** 0.5)
