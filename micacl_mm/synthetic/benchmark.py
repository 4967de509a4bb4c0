"""The open benchmark "synthetic v1": its frozen recipe and checksums."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

from micacl_mm.errors import ConfigError, DataError
from micacl_mm.utils.files import DRAWN_MARKER, read_marker, write_text

from .clip import LEVELS, ClipSpec, clip_layout
from .layouts import frame_dir, frame_name
from .writer import SyntheticSettings, make_synthetic

NAME, VERSION = 'synthetic', 1
RECORD = 'benchmark.json'  # in the root of each level's set

# Version 1 for ever: what is made better becomes version 2.
RECIPE = dict(
    layout='dfew',
    num_clips=4034,
    seed=0,
    size=64,
    folds=(1,),
    test_per_class=80,
)
BENCHMARK_LEVELS = tuple(LEVELS)
# 'medium' with another seed, hence other persons and clips: choices are made
# on it, figures on the levels. It has no rows on the board.
DEVELOPMENT = 'medium-dev'

# What drew the reference, and its checksums. The labels are the same on all
# three levels.
VERSIONS = {'numpy': '1.26.4', 'cv2': '4.11.0'}
LABELS = dict.fromkeys(
    BENCHMARK_LEVELS,
    '96ec9c3ba28b5ffcc2f120b6d8cff913e28e6a04775499903d56d78a47679c43',
)
LABELS[DEVELOPMENT] = (
    'd4c11ade084275e818bbd145c77c9038cd43d1a0dc8b5f0b327b97433bb3ee49'
)
FRAMES = {
    'easy': '5a1a23965595774695b2a432aefe78bdb8e42cc72ed04365c269c1bf6ebb8921',
    'medium': (
        '17db98c5e09b4062066529a247ef8a9d86066b1ba2a0c9b3f6c0482eeb49c6de'
    ),
    'hard': '63648a1281fcb6f50e2b2aae5f63c20b600e835039dd19468f0f1b4275e9ef62',
    DEVELOPMENT: (
        'e692549d6876f8ae4ebf465676ca612ffd6977f0318fbc73189145c5147c726d'
    ),
}
_BLOCK = 100  # clips under one checksum, of which eight digits count


def benchmark_settings(level: str) -> SyntheticSettings:
    """Settings of one of ``BENCHMARK_LEVELS``, or of ``DEVELOPMENT``."""
    if level == DEVELOPMENT:
        recipe = {**RECIPE, 'seed': 1}
        return SyntheticSettings(difficulty='medium', **recipe)
    if level not in LEVELS:
        raise ConfigError(
            'make_benchmark: levels must be some of '
            f'{", ".join([*LEVELS, DEVELOPMENT])}, got {level!r}'
        )
    return SyntheticSettings(difficulty=level, **RECIPE)


def make_benchmark(
    out: str | Path,
    level: str,
    *,
    verify: bool = False,
    workers: int = 1,
    progress: bool = False,
) -> dict:
    """Draw a level of the benchmark and compare it with the reference.

    It becomes a set in DFEW's layout in ``out/<level>``, with
    ``benchmark.json`` in its root. A second call draws only what is missing.
    With ``verify`` nothing is drawn or written.

    Returns:
        dict: What :func:`make_synthetic` returns, ``record``, the content of
        ``benchmark.json``, and ``differs``: what differs from the reference,
        in sentences; empty if nothing does.

    Raises:
        DataError: To verify, a folder that holds no set of this benchmark.
    """
    settings = benchmark_settings(level)
    root, report = Path(out).expanduser() / level, {}
    if not verify:
        report = make_synthetic(
            root, workers=workers, progress=progress, **vars(settings)
        )
    report.update(_compare(root, level, settings))
    if not verify:
        text = json.dumps(report['record'], indent=2)
        write_text(root / RECORD, f'{text}\n')
    return report


def _compare(root: Path, level: str, settings: SyntheticSettings) -> dict:
    """Checksums of a set, and what differs from the reference."""
    marker = read_marker(root / DRAWN_MARKER)
    if marker is None or marker['settings'] != settings.record():
        raise DataError(
            f'make_benchmark: {root} holds no set of {NAME} v{VERSION}, level '
            f'{level}',
            'name the folder of the levels, or draw them with micacl '
            'make-benchmark',
        )
    versions = marker.get('versions', {})
    labels = label_digest(root, settings.folds)
    frames, damaged = frame_digest(root, settings.plan().clips, settings)
    differs = []
    if labels != LABELS[level]:
        differs.append(
            'Split files or annotation are not the reference: figures on '
            'this set cannot be compared. The same command rewrites them; '
            'if they still differ, report a bug.'
        )
    if damaged:
        more = ', ...' if len(damaged) > 5 else ''
        differs.append(
            f'{len(damaged)} clips are absent or not whole '
            f'({", ".join(damaged[:5])}{more}): delete them and draw again '
            'with the same command.'
        )
    elif frames != FRAMES[level]:
        differs.append(
            f'Frames differ. The reference was drawn by {_list(VERSIONS)} on '
            f'x86-64, this set by {_list(versions)}: other versions and '
            'processors round differently (docs/maintainers.md says how far). '
            'If none of these differs here, files were changed: delete the '
            'set and draw it again.'
        )
    record = {
        'name': NAME,
        'version': VERSION,
        'level': level,
        'reference': not differs,
        'labels': labels,
        'frames': frames,
        'versions': versions,
    }
    return {'record': record, 'differs': differs}


def _list(versions: dict[str, str]) -> str:
    return ', '.join(f'{name} {value}' for name, value in versions.items())


def label_digest(root: Path, folds: tuple[int, ...]) -> str | None:
    """Checksum of split files and annotation; None if one is unreadable."""
    total = hashlib.sha256()
    try:
        for fold in folds:
            for part in ('train', 'test'):
                name = f'{part}(single-labeled)/set_{fold}.csv'
                path = root / 'EmoLabel_DataSplit' / name
                _add(total, name, path.read_bytes())
        # Its own bytes depend on the zlib at hand: what is in it counts.
        with zipfile.ZipFile(root / 'Annotation/annotation.xlsx') as book:
            infos = sorted(book.infolist(), key=lambda info: info.filename)
            for info in infos:
                _add(total, info.filename, book.read(info))
    except Exception:  # a damaged zip file raises errors of many kinds
        return None
    return total.hexdigest()


def frame_digest(
    root: Path, clips: tuple[ClipSpec, ...], settings: SyntheticSettings
) -> tuple[str, list[str]]:
    """Checksum of all frames, and the clips that lack or exceed some."""
    blocks, damaged = [], []
    for first in range(0, len(clips), _BLOCK):
        total = hashlib.sha256()
        for clip in clips[first : first + _BLOCK]:
            folder = frame_dir(settings.layout, clip)
            if not _add_clip(total, root / folder, clip, settings):
                damaged.append(folder)
        blocks.append(total.hexdigest()[:8])
    return hashlib.sha256('\n'.join(blocks).encode()).hexdigest(), damaged


def _add_clip(
    total: hashlib._Hash,
    folder: Path,
    clip: ClipSpec,
    settings: SyntheticSettings,
) -> bool:
    """Add a clip's frames, and say whether it has all and no other."""
    found = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
    _, numbers = clip_layout(clip, settings.seed, settings.layout)
    names = [frame_name(settings.layout, clip, n) for n in numbers]
    whole = found == set(names)
    for name in names:
        data = (folder / name).read_bytes() if name in found else b''
        whole = whole and bool(data)
        _add(total, name, data)
    return whole


def _add(total: hashlib._Hash, name: str, data: bytes) -> None:
    total.update(f'{name} {len(data)}\n'.encode())
    total.update(data)
