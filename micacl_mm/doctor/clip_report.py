"""What the files of one clip are like, once decoded."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from dataclasses import dataclass, field

from PIL import Image

from micacl_mm.utils.video import ClipError, read_video

from .clip_files import ClipFiles

_PLAIN = 'RGB'


@dataclass
class ClipReport:
    """Of a clip.

    Args:
        path (str): The clip.
        damaged (list[str]): Files that cannot be decoded, with the reason.
        odd (list[str]): Frames of another size than most of the clip's.
        colours (dict[str, int]): Number of frames by kind, RGB left out.
    """

    path: str
    damaged: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    colours: dict[str, int] = field(default_factory=dict)


def decode_clip(clip: ClipFiles) -> ClipReport:
    """Decode every frame of a clip.

    Pillow refuses a JPEG that ends too early; some versions of OpenCV, which
    trainings decode with, fill the rest with grey and say nothing.
    """
    report = ClipReport(clip.path)
    sizes: dict[str, tuple[int, int]] = {}
    if clip.is_video:
        _decode_video(clip, report, sizes)
    else:
        _decode_frames(clip, report, sizes)
    if sizes:
        usual = Counter(sizes.values()).most_common(1)[0][0]
        report.odd = [
            f'{name} ({size[0]} x {size[1]} among {usual[0]} x {usual[1]})'
            for name, size in sizes.items()
            if size != usual
        ]
    return report


def _decode_frames(clip: ClipFiles, report: ClipReport, sizes: dict) -> None:
    kinds: Counter = Counter()
    for path, size in clip.files():
        if not size:
            continue  # the check of empty files names it
        name = os.path.basename(path)
        try:
            # A decompression bomb is an error here, not a warning.
            with warnings.catch_warnings():
                warnings.simplefilter('error', Image.DecompressionBombWarning)
                with Image.open(path) as image:
                    image.load()
                    sizes[name] = image.size
                    kinds[image.mode] += 1
        except Exception as error:  # decoders raise what they like
            reason = str(error).replace(path, name) or type(error).__name__
            report.damaged.append(f'{name} ({reason})')
    report.colours = {k: n for k, n in kinds.items() if k != _PLAIN}


def _decode_video(clip: ClipFiles, report: ClipReport, sizes: dict) -> None:
    if not clip.sizes[0]:
        return
    try:
        for number, image in enumerate(read_video(clip.path), 1):
            sizes[f'frame {number}'] = image.shape[1], image.shape[0]
    except (ClipError, OSError) as error:
        reason = str(error).removeprefix(f'{clip.path}: ')
        report.damaged.append(f'{os.path.basename(clip.path)} ({reason})')
