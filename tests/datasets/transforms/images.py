"""Pictures as files of every kind that a set of faces may hold."""

import io

import cv2
import numpy as np
from PIL import Image


def picture(height=96, width=96, seed=0):
    """Smooth colours with some edges, (H, W, 3), RGB."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.circle(image, (width // 2, height // 3), width // 5, (250, 9, 90), -1)
    return image


def compressed(image, form='jpeg', mode='RGB', **options):
    """The bytes of a file."""
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, form, **options)
    return file.getvalue()


def write_clip(folder, count=6, suffix='jpg', **options):
    """A folder of frames; returns the clip's data, as a data set gives it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        data = compressed(picture(seed=number), **options)
        (folder / f'{number:03d}.{suffix}').write_bytes(data)
    return dict(
        frame_dir=str(folder),
        filename_tmpl='{:03d}.' + suffix,
        total_frames=count,
        start_index=0,
        modality='RGB',
        label=0,
    )
