"""Files and compressed images in, RGB arrays out."""

import re
from contextlib import suppress

import cv2
import numpy as np
from mmengine.fileio import get

from micacl_mm.errors import DataError

try:
    import simplejpeg
except ImportError:  # the extra [fast] is not installed
    simplejpeg = None

#: The strict decoder's words for bytes too many, unless they are pixels.
_HARMLESS = re.compile('extraneous bytes before marker 0x(?!d9)')
_JPEG, _PNG, _END_OF_PNG = b'\xff\xd8\xff', b'\x89PNG\r\n', b'IEND\xaeB`\x82'
_EXIF = b'Exif\0'


def decode_image(data: bytes, name: str) -> np.ndarray:
    """Decode an image as ``mmcv.imfrombytes(channel_order='rgb')`` does.

    JPEGs go through libjpeg-turbo by ``simplejpeg``, straight to RGB; the
    pixels are OpenCV's to the bit, whose decoder is of the same family. All
    else, and all of it without ``simplejpeg``, goes through OpenCV.

    Returns:
        np.ndarray: (H, W, 3), uint8.

    Raises:
        DataError: It cannot be decoded; with ``name``.
    """
    # OpenCV turns a photograph by its EXIF tag, libjpeg does not.
    if simplejpeg and data[:3] == _JPEG and _EXIF not in data:
        try:
            return simplejpeg.decode_jpeg(data, 'RGB')
        except ValueError as error:
            # Of a damaged picture OpenCV would make part in grey.
            if not _HARMLESS.search(str(error)):
                raise DataError(
                    f'{name} cannot be decoded, it is damaged ({error})',
                    'unpack it again, or delete it',
                ) from None
    image = None
    # OpenCV makes part of a picture of a PNG that is cut off, and says so.
    if not data.startswith(_PNG) or _END_OF_PNG in data:
        with suppress(cv2.error):
            image = cv2.imdecode(
                np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR
            )
    if image is None:
        what = 'is cut off or damaged' if len(data) else 'is an empty file'
        raise DataError(
            f'{name} cannot be decoded, it {what}',
            'unpack it again, or delete it',
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_file(path: str, backend: str, options: dict) -> bytes:
    """Read a file as MMAction2's transforms do, ``io_backend`` and all."""
    if backend in ('disk', 'local'):
        with open(path, 'rb') as file:
            return file.read()
    return get(path, dict(backend=backend, **options))
