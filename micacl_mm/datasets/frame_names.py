"""File names of a clip's frames in the place of a file name template."""

from collections.abc import Sequence


class FrameNames:
    """A list of file names that answers like a file name template.

    MMAction2's ``RawFrameDecode`` asks ``filename_tmpl.format(index)`` for
    the name of a frame. Face frames are numbered with gaps wherever no face
    was found, so no template fits; with this object the index counts the
    frames that are there, from 0.

    Args:
        names (Sequence[str]): The file names in order.

    Raises:
        IndexError: In :meth:`format`, for an index outside the clip.

    Example:
        >>> FrameNames(['00007_00001.jpg', '00007_00005.jpg']).format(1)
        '00007_00005.jpg'
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def format(self, index: int) -> str:
        """Name of the frame at a position."""
        # A negative index would silently read from the end of the clip.
        if not 0 <= index < len(self.names):
            raise IndexError(
                f'FrameNames: index must be in 0..{len(self.names) - 1}, got '
                f'{index}; sample with start_index=0.'
            )
        return self.names[index]

    def __repr__(self) -> str:
        return f'{type(self).__name__}({len(self.names)} frames)'
