"""What makes a data set take its frames from a pack."""

import logging
import os
from collections.abc import Sequence
from typing import Optional

from mmengine.logging import print_log

from .fitting import fit_pack
from .frame_pack import FramePack


class PackedClips:
    """The part of :class:`BaseDFERDataset` that knows of packs."""

    pack: Optional[str] = None
    pack_missing = 'raise'
    source = ''
    _opened: Optional[FramePack] = None

    def _check_pack(self) -> None:
        self._check_choice(
            'pack_missing', self.pack_missing, ('raise', 'folders')
        )
        if self.pack and self.source == 'videos':
            raise ValueError(
                f'{type(self).__name__}: a pack is for source frames, got '
                f"source='videos' and pack {self.pack}; do leave one of "
                '--source and --pack out'
            )

    def _take_pack(self, infos: Sequence[dict]) -> None:
        """Note the clips' places in the pack, if there is to be one."""
        if not self.pack:
            return
        path = os.path.expanduser(self.pack)
        if self.pack_missing == 'folders' and not os.path.exists(path):
            self._log_pack(
                f'no pack {self.pack}, frames come from the folders.',
                logging.WARNING,
            )
            return
        self._check_pipeline(self.pipeline.transforms)
        try:
            opened = FramePack(path)
            clips = fit_pack(opened, infos)
        except (ValueError, OSError, ImportError) as error:
            raise type(error)(f'{type(self).__name__}: {error}') from None
        for info, clip in zip(infos, clips, strict=True):
            info['pack_clip'] = clip
        self._opened = opened
        self._log_pack(f'frames come from pack {opened.path}.', logging.INFO)

    def _check_pipeline(self, transforms: Sequence[object]) -> None:
        """See that the pack is read, lest nobody notice that it is not."""
        reads = [getattr(t, 'reads_packs', False) for t in transforms]
        if transforms and not any(reads):
            raise ValueError(
                f'{type(self).__name__}: no transform of the pipeline reads '
                f'pack {self.pack}; do decode by FaceFrameDecode instead of '
                'RawFrameDecode, or leave the pack out'
            )

    def _log_pack(self, text: str, level: int) -> None:
        name = type(self).__name__
        print_log(f'{name}: {text}', logger='current', level=level)
