"""Find the clips that a user has named."""

import os
from collections.abc import Sequence
from typing import Union

import numpy as np

from micacl_mm.datasets.class_clips import VIDEO_SUFFIXES
from micacl_mm.datasets.folders import (
    IMAGE_SUFFIXES,
    list_frames,
    list_visible,
)

from .clips import ClipError, Source


def list_clips(inputs: Union[Source, Sequence[Source]]) -> list[Source]:
    """Name the clips of an input, those of folders in natural order.

    A folder with images is one clip; of any other the videos and the folders
    of frames in it and below are taken.

    Args:
        inputs (str, PathLike, ndarray or a list of these): Any mixture.

    Raises:
        ClipError: A folder holds neither images nor videos.
        TypeError: It is nothing of the kind.
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
    found = list(_below(os.fspath(inputs), set()))
    if not found:
        raise ClipError(
            f'{inputs}: neither videos ({", ".join(VIDEO_SUFFIXES)}) nor '
            f'images ({", ".join(IMAGE_SUFFIXES)}) in this folder'
        )
    return found


def _below(folder: str, seen: set[str]) -> list[str]:
    """Clips in a folder and below; links in a circle are walked once."""
    if os.path.realpath(folder) in seen:
        return []
    seen.add(os.path.realpath(folder))
    try:
        if list_frames(folder):
            return [folder]
    except OSError:
        return []
    found = []
    for entry in list_visible(folder):
        if os.path.isdir(entry.path):
            found += _below(entry.path, seen)
        elif entry.name.lower().endswith(VIDEO_SUFFIXES):
            found.append(entry.path)
    return found
