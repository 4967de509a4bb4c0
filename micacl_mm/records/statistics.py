"""Mean, standard deviation and confidence interval of repeated runs."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, Optional

import numpy as np
from scipy import stats

from micacl_mm.errors import ConfigError, DataError


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


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Summarise replicates by the Student-t interval of their mean.

    Args:
        values (Sequence[float]): One finite number a replicate.
        level (float): Confidence level in (0, 1). Defaults to 0.95.

    Returns:
        Interval: in the unit of the values.

    Raises:
        ValueError: There is no value, one is not finite, or the level is
            outside of (0, 1).
    """
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise DataError(
            'interval: values must be at least one finite number, got '
            f'{list(values)}',
            'leave out what is unknown',
        )
    if not 0 < level < 1:
        raise ConfigError(
            f'interval: level must lie between 0 and 1, got {level}',
            'use 0.95',
        )
    mean, count = float(numbers.mean()), len(numbers)
    if count == 1:
        return Interval(mean, None, None, 1)
    factor = stats.t.ppf((1 + level) / 2, df=count - 1)
    half_width = float(factor * stats.sem(numbers))
    return Interval(mean, float(numbers.std(ddof=1)), half_width, count)


def replicates(
    values: Iterable[tuple[Hashable, Hashable, float]],
) -> list[float]:
    """Reduce runs to the values whose spread is of interest.

    With several folds the replicates are the folds, each the mean over its
    seeds; with one fold they are the seeds.

    Args:
        values (Iterable[tuple]): Fold, seed and value of each run. The fold
            is None in sets without folds.

    Returns:
        list[float]: one value a replicate, sorted by fold or seed as text.
    """
    folds = defaultdict(dict)
    for fold, seed, value in values:
        folds[fold][seed] = value
    if len(folds) == 1:
        ((_, groups),) = folds.items()  # the seeds, of one value each
    else:
        groups = {k: list(seeds.values()) for k, seeds in folds.items()}
    return [float(np.mean(groups[key])) for key in sorted(groups, key=str)]


def pool(matrices: Sequence[Sequence[Sequence[int]]]) -> np.ndarray:
    """Add the confusion matrices, all (K, K), of several runs.

    Raises:
        ValueError: They are not all of one size.
    """
    shapes = {np.shape(matrix) for matrix in matrices}
    if len(shapes) != 1:
        raise DataError(
            'pool: the confusion matrices must be of one size, got '
            f'{sorted(shapes)}',
            'pool runs of one data set',
        )
    return np.sum([np.asarray(m, dtype=np.int64) for m in matrices], axis=0)


class Difference(NamedTuple):
    """A mean minus the mean of a reference, with its interval."""

    #: In the unit of the values.
    value: float
    #: Half the width of the interval; None where a spread is not known.
    half_width: Optional[float]

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return (
            self.half_width is not None and abs(self.value) > self.half_width
        )


def difference(
    reference: Interval, other: Interval, level: float = 0.95
) -> Difference:
    """Compare two means by Welch's interval, which allows unequal spreads.

    Args:
        reference (Interval): What the other is compared with.
        other (Interval): In the same unit, of other trainings.
        level (float): Confidence level in (0, 1). Defaults to 0.95.

    Returns:
        Difference: other minus reference.
    """
    value = other.mean - reference.mean
    if reference.std is None or other.std is None:
        return Difference(value, None)
    if not (reference.std or other.std):
        return Difference(value, 0.0)
    errors = [group.std**2 / group.count for group in (reference, other)]
    # Welch and Satterthwaite's degrees of freedom.
    freedom = sum(errors) ** 2 / sum(
        error**2 / (group.count - 1)
        for error, group in zip(errors, (reference, other), strict=True)
    )
    factor = stats.t.ppf((1 + level) / 2, df=freedom)
    return Difference(value, float(factor * sum(errors) ** 0.5))
