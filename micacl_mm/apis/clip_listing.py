"""Find the clips that a user has named."""

import os
from collections.abc import Sequence
from typing import Union

import numpy as np

from micacl_mm.utils.folders import find_clips

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
        DataError: Folders are nested too deep.
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
    root = os.fspath(inputs)
    return [clip.path for clip in find_clips(root)] or [root]
