"""Find the clips that a user has named."""

import os
from collections.abc import Sequence
from typing import Union

import numpy as np

from micacl_mm.datasets.class_clips import VIDEO_SUFFIXES
from micacl_mm.datasets.class_folders import is_stray
from micacl_mm.datasets.folders import DEEPEST, list_frames, list_visible

from .clips import Source


def list_clips(inputs: Union[Source, Sequence[Source]]) -> list[Source]:
    """Name the clips of an input, those of folders in natural order.

    Of a folder the videos and the folders of frames in it and below are
    taken; one that holds nothing but images is a clip itself. A folder
    without any clip stays in the list, and fails when it is opened.

    Args:
        inputs (str, PathLike, ndarray or a list of these): Any mixture.

    Raises:
        TypeError: It is nothing of the kind.
        ValueError: Folders are nested too deep.
    """
    if isinstance(inputs, (list, tuple)):
        return [clip for part in inputs for clip in list_clips(part)]
    if not isinstance(inputs, (str, os.PathLike, np.ndarray)):
        raise TypeError(
            'a clip is a path or an array (T, H, W, 3), got '
            f'{type(inputs).__name__}'
        )
    if isinstance(inputs, np.ndarray) or not os.path.isdir(inputs):
        return [inputs]
    return _below(os.fspath(inputs), set()) or [os.fspath(inputs)]


def _below(folder: str, seen: set[str], depth: int = 0) -> list[str]:
    """Clips in a folder and below; links in a circle are walked once."""
    if depth > DEEPEST:
        raise ValueError(
            f'folders must not be deeper than {DEEPEST} levels, got {folder}; '
            'name a folder further down'
        )
    if os.path.realpath(folder) in seen:
        return []
    seen.add(os.path.realpath(folder))
    try:
        entries, frames = list_visible(folder), list_frames(folder)
    except OSError:
        return []
    found = []
    for entry in entries:
        if is_stray(entry.name):
            continue
        if os.path.isdir(entry.path):
            found += _below(entry.path, seen, depth + 1)
        elif entry.name.lower().endswith(VIDEO_SUFFIXES):
            found.append(entry.path)
    # Pictures beside clips are covers and the like.
    return found or ([folder] if frames else [])
