"""Look the clips of a split up on disk."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .folders import list_frames
from .layouts import Layout
from .splits import SplitRow


def probe_clips(
    rows: Sequence[SplitRow], layout: Layout, source: str
) -> tuple[list[dict], list[str]]:
    """Find and list the clips of a split, each folder once.

    Args:
        rows (Sequence[SplitRow]): The clips.
        layout (Layout): Where clips lie.
        source (str): ``'frames'`` or ``'videos'``.

    Returns:
        tuple[list[dict], list[str]]: Data of the clips that are there, in
        the order of ``rows``, and the name of each other with what is wrong.
    """

    def probe(row: SplitRow) -> dict:
        path = layout.clips.get(row.video_id.lower())
        if path is None:
            return {'wrong': f'{row.video_id} (absent)'}
        info = {'label': row.label, 'video_id': row.video_id}
        try:
            found = _probe_video if source == 'videos' else _probe_frames
            return {**info, **found(path)}
        except ValueError as error:
            return {'wrong': f'{row.video_id} ({error})'}
        except OSError as error:
            # A link to nothing, a folder that may not be read or has gone.
            reason = error.strerror or type(error).__name__
            return {'wrong': f'{row.video_id} (cannot read {path}: {reason})'}

    # Threads, since the time goes into waiting for a network disk.
    with ThreadPoolExecutor(max_workers=16) as pool:
        probed = list(pool.map(probe, rows))
    infos = [info for info in probed if 'wrong' not in info]
    return infos, [info['wrong'] for info in probed if 'wrong' in info]


def _probe_video(path: str) -> dict:
    _check_size(path)
    return {'filename': path}


def _probe_frames(path: str) -> dict:
    frames = list_frames(path)
    if not frames:
        raise ValueError(f'no image in {path}')
    # The size of every frame would cost a request each. An unpacking that
    # ran out of space leaves whole clips of empty files.
    _check_size(os.path.join(path, frames[0]))
    return {'frame_dir': path, 'frames': frames, 'total_frames': len(frames)}


def _check_size(path: str) -> None:
    if not os.path.getsize(path):
        raise ValueError(f'empty file {path}')
