"""What the split files of all sets have in common, and the held-out slice."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

RESTORE = 'restore the split file of the release'
#: A split file of 40,000 clips has two.
_MOST_MIB = 64


class SplitRow(NamedTuple):
    """One clip of a split file: its name in the set and its class."""

    video_id: str
    label: int


def read_lines(path: str) -> list[tuple[int, str]]:
    """Number and text of the lines of a split file, but for a header.

    Copies differ in whether they have one, a first line without a digit. A
    ``ValueError`` says what is wrong about the file.
    """
    if os.path.getsize(path) > _MOST_MIB * 2**20:
        raise ValueError(f'a split file has less than {_MOST_MIB} MiB')
    try:
        # Copies edited on Windows carry a byte order mark and CRLF.
        with open(path, encoding='utf-8-sig') as file:
            lines = [(i, line.strip()) for i, line in enumerate(file, start=1)]
    except UnicodeDecodeError as error:
        raise ValueError(
            f'must be UTF-8 text, got an invalid byte at {error.start}'
        ) from None
    lines = [(i, line) for i, line in lines if line]
    has_header = lines and not any(map(str.isdigit, lines[0][1]))
    return lines[1:] if has_header else lines


def shorten(names: Sequence[str], most: int = 10) -> str:
    """The first few of many names."""
    return ', '.join(names[:most]) + (', ...' if names[most:] else '')


def without_suffix(name: str) -> str:
    """The name of a clip without that of its kind of video."""
    return re.sub(r'\.\w{2,4}$', '', name)


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
    totals = sum(counts.values(), Counter())
    wanted = {
        k: min(max(round(ratio * n), 1), n - 1) for k, n in totals.items()
    }
    held: Counter = Counter()
    taken: set[str] = set()

    def gain(group: str) -> Fraction:
        """By how much a group brings the shares closer to the aim."""
        # Exact, for a sum of floats depends on the order of its terms.
        gaps = {k: wanted[k] - held[k] for k in counts[group]}
        return sum(
            Fraction(abs(gaps[k]) - abs(gaps[k] - n), totals[k])
            for k, n in counts[group].items()
        )

    def can_go(group: str) -> bool:
        """Whether a clip at least of each class would stay."""
        return all(held[k] + n < totals[k] for k, n in counts[group].items())

    def take(group: str) -> None:
        taken.add(group)
        held.update(counts[group])

    order = sorted(counts, key=lambda group: hash_name(f'{seed}/{group}'))
    order = order if ratio else []
    for group in order:
        if can_go(group) and gain(group) > 0:
            take(group)
    for label in sorted(k for k in totals if not held[k]):
        fitting = [g for g in order if counts[g][label] and can_go(g)]
        if fitting and not held[label]:
            take(max(fitting, key=gain))
    parts: tuple[list, list] = [], []
    for row in rows:
        parts[groups[row.video_id] in taken].append(row)
    return parts
