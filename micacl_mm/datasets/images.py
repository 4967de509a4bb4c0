"""Files and compressed images in, RGB arrays out."""

import io
from typing import Optional

import cv2
import numpy as np
from mmengine.fileio import get

try:
    import simplejpeg
except ImportError:  # the extra [fast] is not installed
    simplejpeg = None

#: Reductions that JPEG decoders make while they decode, strongest first.
REDUCTIONS = (8, 4, 2)
_CV2_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_JPEG = b'\xff\xd8\xff'
_EXIF = b'\xe1'  # the marker of its segment
_PICTURE = (b'\xda', b'\xd9', b'')  # markers behind which there is none


def decode_image(data: bytes, name: str, reduction: int = 1) -> np.ndarray:
    """Decode an image as ``mmcv.imfrombytes(channel_order='rgb')`` does.

    JPEGs go through libjpeg-turbo by ``simplejpeg``, straight to RGB; the
    pixels are OpenCV's to the bit, whose decoder is of the same family. All
    else, and all of it without ``simplejpeg``, goes through OpenCV.

    Args:
        data (bytes): A JPEG, PNG or BMP of any colours.
        name (str): For the message.
        reduction (int): 1, 2, 4 or 8: decode a JPEG at that part of its
            size. Defaults to 1.

    Returns:
        np.ndarray: (H, W, 3), uint8.

    Raises:
        ValueError: It cannot be decoded.
    """
    if simplejpeg and data[:3] == _JPEG and not _is_turned(data):
        least = {}
        if reduction > 1:
            height, width = simplejpeg.decode_jpeg_header(data)[:2]
            least = dict(
                min_height=-(-height // reduction),
                min_width=-(-width // reduction),
                min_factor=1,
            )
        try:
            return simplejpeg.decode_jpeg(data, 'RGB', **least)
        except ValueError:
            pass  # also for harmless bytes too many, which OpenCV passes over
    try:
        flag = _CV2_FLAGS[reduction]
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        image = None
    if image is None:
        what = 'is cut off or damaged' if len(data) else 'is an empty file'
        raise ValueError(
            f'{name} cannot be decoded, it {what}; do unpack it again, or '
            'delete it'
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_file(path: str, backend: str, options: dict) -> bytes:
    """Read a file as MMAction2's transforms do, ``io_backend`` and all."""
    if backend in ('disk', 'local'):
        with open(path, 'rb') as file:
            return file.read()
    return get(path, dict(backend=backend, **options))


def jpeg_size(data: bytes) -> Optional[tuple[int, int]]:
    """Height and width of a JPEG that can be decoded at reduced size.

    Returns:
        tuple[int, int] | None: None for anything else.
    """
    from PIL import Image  # MMCV brings it along

    if data[:3] != _JPEG or _is_turned(data):
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.height, image.width
    except OSError:
        return None  # the decoder says what is wrong


def _is_turned(data: bytes) -> bool:
    # OpenCV turns a photograph by its EXIF tag, libjpeg does not.
    at = data.find(b'\xff', 2)
    while at >= 0:
        marker = data[at + 1 : at + 2]
        if marker == _EXIF and data[at + 4 : at + 9] == b'Exif\0':
            return True
        if marker in _PICTURE:
            return False
        # Padding has no length; bytes too many are passed over.
        length = int.from_bytes(data[at + 2 : at + 4], 'big')
        at = data.find(b'\xff', at + (1 if marker == b'\xff' else 2 + length))
    return False
