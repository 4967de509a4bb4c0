"""Look the clips of a split up on disk."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .layouts import Layout, list_frames
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
        if source == 'videos':
            if not os.path.getsize(path):
                return {'wrong': f'{row.video_id} (empty file {path})'}
            return {**info, 'filename': path}
        frames = list_frames(path)
        if not frames:
            return {'wrong': f'{row.video_id} (no image in {path})'}
        found = {'frames': frames, 'total_frames': len(frames)}
        return {**info, 'frame_dir': path, **found}

    # Threads, since the time goes into waiting for a network disk.
    with ThreadPoolExecutor(max_workers=16) as pool:
        probed = list(pool.map(probe, rows))
    infos = [info for info in probed if 'wrong' not in info]
    return infos, [info['wrong'] for info in probed if 'wrong' in info]
