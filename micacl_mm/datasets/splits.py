"""What the split files of all sets have in common, and the held-out slice."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple, Optional

#: A split file of 40,000 clips has two.
_MOST_MIB = 64


class SplitRow(NamedTuple):
    """One clip of a split file: its name in the set and its class."""

    video_id: str
    label: int


def read_lines(path: str) -> list[tuple[int, str]]:
    """Read the lines of a split file that are not blank, with their numbers.

    Copies edited on Windows carry a byte order mark and CRLF.

    Args:
        path (str): The file.

    Returns:
        list[tuple[int, str]]: Line number, from 1, and stripped line.

    Raises:
        ValueError: It is no text, or too large for a split file.
    """
    if os.path.getsize(path) > _MOST_MIB * 2**20:
        raise ValueError(
            f'{path} must be a split file of less than {_MOST_MIB} MiB'
        )
    try:
        with open(path, encoding='utf-8-sig') as file:
            lines = [(i, line.strip()) for i, line in enumerate(file, start=1)]
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} must be UTF-8 text, got byte {error.start} that is none'
        ) from None
    return [(i, line) for i, line in lines if line]


def describe_counts(
    classes: Sequence[str],
    loaded: Sequence[int],
    rest: Sequence[int],
    official: Optional[Sequence[int]],
) -> str:
    """Say how many clips of each class there are and should be.

    Args:
        classes (Sequence[str]): The class names.
        loaded (Sequence[int]): Labels of the clips in use.
        rest (Sequence[int]): Labels on the other side of a validation slice.
            A slice has no official count, both sides together do.
        official (Sequence[int], optional): The official counts, if known.

    Returns:
        str: One or more sentences.
    """
    counts, whole = Counter(loaded), Counter([*loaded, *rest])
    listed = [f'{name} {counts[i]}' for i, name in enumerate(classes)]
    text = f'{len(loaded)} clips ({", ".join(listed)}).'
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


def cut_validation(
    rows: Sequence[SplitRow], ratio: float, seed: int
) -> tuple[list[SplitRow], list[SplitRow]]:
    """Cut a stratified validation slice from the training rows.

    Clips are drawn by a hash of seed and name: whether a clip is held out
    depends neither on the order of the file nor on a random generator's
    version, and a larger slice contains the smaller one of the same seed.

    Args:
        rows (Sequence[SplitRow]): The training rows.
        ratio (float): Share of each class to hold out, in (0, 1).
        seed (int): Another seed draws other clips.

    Returns:
        tuple[list[SplitRow], list[SplitRow]]: The rows left for training and
        the slice, both in the order of ``rows``. A class of two clips or
        more is on both sides, a single clip stays in training.

    Raises:
        ValueError: If no class has two clips.
    """
    by_class: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        by_class[row.label].append(row.video_id)

    def lot(video_id: str) -> bytes:
        return hash_name(f'{seed}/{video_id}')

    held: set[str] = set()
    for names in by_class.values():
        size = min(max(round(ratio * len(names)), 1), len(names) - 1)
        held.update(sorted(names, key=lot)[:size])
    if not held:
        raise ValueError(
            'A validation slice needs a class of two clips or more, got '
            f'{len(rows)} clips of {len(by_class)} classes; do set '
            'val_ratio=0.'
        )
    train = [row for row in rows if row.video_id not in held]
    return train, [row for row in rows if row.video_id in held]


def hash_name(name: str) -> bytes:
    """Hash a name, also one of a file that is no text in UTF-8."""
    return hashlib.sha256(name.encode('utf-8', 'surrogateescape')).digest()


def find_repeated(
    names: Sequence[tuple[int, str]],
) -> dict[str, list[int]]:
    """Clips that are listed more than once.

    Args:
        names (Sequence[tuple[int, str]]): Line number and name of each clip.

    Returns:
        dict[str, list[int]]: Line numbers by the name in lower case.
    """
    lines: dict[str, list[int]] = defaultdict(list)
    for number, name in names:
        lines[name.lower()].append(number)
    return {name: found for name, found in lines.items() if len(found) > 1}
