"""What the crops of a folder have in common."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from ..detectors import Detector, build_detector
from .sources import LAYOUTS


@dataclass(frozen=True)
class CropSettings:
    """How faces are found and cut out.

    Args:
        face (str): A detector, see :func:`build_detector`.
        face_options (dict): Its arguments. Defaults to {}.
        margin (float): Room on each side, as a share of the face's longer
            side. Defaults to 0.15.
        size (int): Side of a crop in pixels. Defaults to 224.
        every (int): The detector looks at every k-th frame; crops are made
            of all. Defaults to 1.
        max_gap (int): Gaps of so many frames are filled. Defaults to 12.
        smoothing (float): Width of the smoothing in frames looked at.
            Defaults to 2.0.
        all_faces (bool): Crop every face, not the main one alone. Defaults
            to False.
        min_frames (int): With ``all_faces``, detections that make a face.
            The main face needs one. Defaults to 5.
        layout (str): One of ``LAYOUTS``. Defaults to ``'tree'``.

    Raises:
        ValueError: For a wrong setting.
    """

    face: str = 'centerface'
    face_options: dict = field(default_factory=dict)
    margin: float = 0.15
    size: int = 224
    every: int = 1
    max_gap: int = 12
    smoothing: float = 2.0
    all_faces: bool = False
    min_frames: int = 5
    layout: str = 'tree'

    def __post_init__(self) -> None:
        least = dict(size=1, every=1, max_gap=0, smoothing=0, min_frames=1)
        for name, minimum in least.items():
            if not getattr(self, name) >= minimum:
                raise ValueError(
                    f'crop_faces: {name} must be {minimum} or more, got '
                    f'{getattr(self, name)}'
                )
        if not self.margin > -0.5:
            raise ValueError(
                f'crop_faces: margin must be above -0.5, got {self.margin}'
            )
        if self.layout not in LAYOUTS:
            raise ValueError(
                f'crop_faces: layout must be one of {", ".join(LAYOUTS)}, got '
                f'{self.layout!r}'
            )

    def build(self) -> Detector:
        """Build the detector.

        Raises:
            ImportError, ValueError: If there is no such detector.
        """
        detector = build_detector(self.face, **self.face_options)
        if detector is None:
            raise ValueError(
                "crop_faces: face 'none' finds no face; clips that are face "
                'crops already can be trained on as they are'
            )
        return detector

    def record(self) -> dict:
        """All settings, for a file."""
        return asdict(self)
