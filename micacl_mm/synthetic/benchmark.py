"""The open benchmark: draws "synthetic v1" and compares the checksums."""

from __future__ import annotations

import json
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from micacl_mm.errors import DataError
from micacl_mm.utils.files import write_text

from .digests import BLOCK, frame_digests, join_blocks, label_digest
from .reference import (
    BENCHMARK_LEVELS,
    BLOCKS,
    LABELS,
    NAME,
    VERSION,
    VERSIONS,
    benchmark_settings,
)
from .set_folder import read_marker
from .settings import SyntheticSettings
from .writer import make_synthetic

RECORD = 'benchmark.json'  # in the root of each level's set


def make_benchmark(
    out: str | Path,
    levels: Iterable[str] = BENCHMARK_LEVELS,
    *,
    workers: int = 1,
    progress: bool = False,
) -> dict[str, dict]:
    """Draw the benchmark and compare it with the reference.

    Each level becomes a set in DFEW's layout in ``out/<level>``, with
    ``benchmark.json`` in its root. A second call draws only what is missing.
    Warns if a set is not the reference to the byte.

    Args:
        out (str | Path): Folder of the levels' folders.
        levels (Iterable[str]): Some of ``BENCHMARK_LEVELS``. Defaults to all.
        workers (int): Processes. Defaults to 1.
        progress (bool): Show progress on stderr. Defaults to False.

    Returns:
        dict[str, dict]: By level what :func:`make_synthetic` returns,
        ``record``, the content of ``benchmark.json``, and ``differs``: what
        differs from the reference, in sentences; empty if nothing does.

    Raises:
        ConfigError: For an unknown level or a folder of anything else.
    """
    reports = {}
    for level, settings in _ask(levels).items():
        root = Path(out).expanduser() / level
        fields = {**vars(settings), 'workers': workers, 'progress': progress}
        summary = make_synthetic(root, **fields)
        report = {**summary, **_compare(root, level, settings)}
        text = json.dumps(report['record'], indent=2)
        write_text(root / RECORD, f'{text}\n')
        if report['differs']:
            said = ' '.join(report['differs'])
            warnings.warn(f'make_benchmark: {root}: {said}', stacklevel=2)
        reports[level] = report
    return reports


def verify_benchmark(
    out: str | Path, levels: Iterable[str] = BENCHMARK_LEVELS
) -> dict[str, dict]:
    """Compare sets that are there with the reference; nothing is written.

    Args:
        out (str | Path): Folder of the levels' folders.
        levels (Iterable[str]): Some of ``BENCHMARK_LEVELS``. Defaults to all.

    Returns:
        dict[str, dict]: By level ``record`` and ``differs``, as
        :func:`make_benchmark` has them.

    Raises:
        ConfigError: For an unknown level.
        DataError: For a folder that holds no set of this benchmark.
    """
    return {
        level: _compare(Path(out).expanduser() / level, level, settings)
        for level, settings in _ask(levels).items()
    }


def _ask(levels: Iterable[str]) -> dict[str, SyntheticSettings]:
    """Settings by level; all names are checked before anything is drawn."""
    return {level: benchmark_settings(level) for level in levels}


def _compare(root: Path, level: str, settings: SyntheticSettings) -> dict:
    """Checksums of a set, and what differs from the reference."""
    versions = _read_versions(root, level, settings)
    try:
        labels = label_digest(root, settings.folds)
    except (OSError, zipfile.BadZipFile, zlib.error):
        labels = None
    clips = settings.plan().clips
    blocks, damaged = frame_digests(root, clips, settings)
    expected, differs = BLOCKS[level].split(), []
    if labels != LABELS[level]:
        differs.append(
            'Split files or annotation are not the reference: figures on '
            'this set cannot be compared. The same command rewrites them; '
            'if they still differ, report a bug.'
        )
    if damaged:
        differs.append(_tell_damaged(damaged))
    elif blocks != expected:
        names = [clip.name for clip in clips]
        differs.append(_tell_frames(blocks, expected, names, versions))
    record = {
        'name': NAME,
        'version': VERSION,
        'level': level,
        'reference': not differs,
        'labels': labels,
        'frames': join_blocks(blocks),
        'versions': versions,
    }
    return {'record': record, 'differs': differs}


def _read_versions(
    root: Path, level: str, settings: SyntheticSettings
) -> dict[str, str]:
    """Versions that drew the set, if it is one of this benchmark."""
    marker = read_marker(root)
    if marker is None or marker['settings'] != settings.record():
        raise DataError(
            f'make_benchmark: {root} holds no set of {NAME} v{VERSION}, level '
            f'{level}',
            'name the folder of the levels, or draw them with micacl '
            'make-benchmark',
        )
    return marker.get('versions', {})


def _tell_damaged(folders: list[str]) -> str:
    named = ', '.join(folders[:5]) + (', ...' if len(folders) > 5 else '')
    return (
        f'{len(folders)} clips are absent or not whole ({named}): delete them '
        'and draw again with the same command.'
    )


def _tell_frames(
    blocks: list[str],
    expected: list[str],
    names: list[str],
    versions: dict[str, str],
) -> str:
    """Other rounding changes every block, a changed file only its own."""
    pairs = zip(blocks, expected, strict=True)
    other = [i for i, (ours, theirs) in enumerate(pairs) if ours != theirs]
    text = f'Frames differ in {len(other)} of {len(blocks)} blocks of clips'
    if len(other) < len(blocks):
        parts = [names[BLOCK * i : BLOCK * (i + 1)] for i in other]
        listed = ', '.join(f'{part[0]} to {part[-1]}' for part in parts)
        return (
            f'{text}: {listed}. They were changed, or drawn under other '
            'versions than the rest: delete these clips and draw again with '
            'the same command.'
        )
    return (
        f'{text}. The reference was drawn by {_list(VERSIONS)} on x86-64, '
        f'this set by {_list(versions)}: other versions and processors round '
        'differently (docs/benchmark.md says how far). If none of these '
        'differs here, the drawing code has changed.'
    )


def _list(versions: dict[str, str]) -> str:
    return ', '.join(f'{name} {value}' for name, value in versions.items())
