"""What the split files of all sets have in common, and the held-out slice."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple, Optional

from micacl_mm.errors import DataError

RESTORE = 'restore the split file of the release'
#: A split file of 40,000 clips has two.
_MOST_MIB = 64


class SplitRow(NamedTuple):
    """One clip of a split file: its name in the set and its class."""

    video_id: str
    label: int


def read_lines(path: str) -> list[tuple[int, str]]:
    """Read the lines of a split file that are not blank, with numbers."""
    if os.path.getsize(path) > _MOST_MIB * 2**20:
        raise DataError(
            f'{path} must be a split file of less than {_MOST_MIB} MiB',
            RESTORE,
        )
    try:
        # Copies edited on Windows carry a byte order mark and CRLF.
        with open(path, encoding='utf-8-sig') as file:
            lines = [(i, line.strip()) for i, line in enumerate(file, start=1)]
    except UnicodeDecodeError as error:
        raise DataError(
            f'{path} must be UTF-8 text, got an invalid byte at {error.start}',
            RESTORE,
        ) from None
    return [(i, line) for i, line in lines if line]


def describe_counts(
    classes: Sequence[str],
    loaded: Sequence[int],
    rest: Sequence[int],
    official: Optional[Sequence[int]],
) -> str:
    """Say how many clips of each class there are, and should be."""
    counts, whole = Counter(loaded), Counter([*loaded, *rest])
    listed = [f'{name} {counts[i]}' for i, name in enumerate(classes)]
    text = f'{len(loaded)} clips ({", ".join(listed)}).'
    if counts:
        ratio = max(counts.values()) / min(counts.values())
        text += f' Imbalance {ratio:.1f} : 1.'
    if rest:
        text += f' {len(rest)} more of train are in the other part.'
    if official is None:
        return text
    differing = [
        f'{name} {whole[i]} instead of {official[i]}'
        for i, name in enumerate(classes)
        if whole[i] != official[i]
    ]
    if not differing:
        return f'{text} The official counts are met.'
    return f'{text} Differs from the official counts: {", ".join(differing)}.'


def hash_name(name: str) -> bytes:
    """Hash a name, also one of a file that is no text in UTF-8."""
    return hashlib.sha256(name.encode('utf-8', 'surrogateescape')).digest()


def hold_out(
    rows: Sequence[SplitRow],
    groups: Mapping[str, str],
    ratio: float,
    seed: int,
) -> tuple[list[SplitRow], list[SplitRow]]:
    """Hold out a share of each class, whole groups at a time.

    The result depends neither on the order of the rows nor on a random
    generator's version, and a larger share contains the smaller one.
    Groups are gone through in the order of a hash of seed and name, and one
    is held out if this brings the classes closer to their shares, all
    classes alike. So where each clip is a group the share is exact, and a
    new clip moves at most one other. A class that nothing was held out of
    then gets the group that fits best. Every class stays with a clip at
    least; one of a single clip, or of one group, is not held out.

    Returns:
        tuple[list[SplitRow], list[SplitRow]]: What stays and what is held
        out, in the order of ``rows``.
    """
    counts: dict[str, Counter] = defaultdict(Counter)
    for row in rows:
        counts[groups[row.video_id]][row.label] += 1
    cut = _Cut(sum(counts.values(), Counter()), ratio)

    order = sorted(counts, key=lambda group: hash_name(f'{seed}/{group}'))
    order = order if ratio else []
    for group in order:
        if cut.gain(counts[group]) > 0 and cut.spares(counts[group]):
            cut.take(group, counts[group])
    for label in cut.empty():
        fitting = [
            group
            for group in order
            if counts[group][label] and cut.spares(counts[group])
        ]
        if fitting and not cut.held[label]:
            best = max(fitting, key=lambda group: cut.gain(counts[group]))
            cut.take(best, counts[best])
    parts: tuple[list, list] = [], []
    for row in rows:
        parts[groups[row.video_id] in cut.taken].append(row)
    return parts


class _Cut:
    """What has been held out so far, and what is aimed at."""

    def __init__(self, totals: Counter, ratio: float) -> None:
        self.totals = totals
        self.wanted = {
            label: min(max(round(ratio * total), 1), total - 1)
            for label, total in totals.items()
        }
        self.held: Counter = Counter()
        self.taken: set[str] = set()

    def gain(self, group: Counter) -> Fraction:
        """By how much a group brings the shares closer to the aim."""
        # Exact, for a sum of floats depends on the order of its terms.
        gaps = {k: self.wanted[k] - self.held[k] for k in group}
        return sum(
            Fraction(abs(gaps[k]) - abs(gaps[k] - group[k]), self.totals[k])
            for k in group
        )

    def spares(self, group: Counter) -> bool:
        """Whether a clip at least of each class would stay without it."""
        left = self.totals - self.held
        return all(group[k] < left[k] for k in group)

    def take(self, name: str, group: Counter) -> None:
        self.taken.add(name)
        self.held += group

    def empty(self) -> list[int]:
        return sorted(k for k in self.totals if not self.held[k])
