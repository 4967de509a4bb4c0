"""A test pipeline, taken apart so that any clip can go through it."""

from collections.abc import Callable, Sequence
from typing import Optional

import numpy as np
from mmaction.registry import TRANSFORMS
from mmaction.utils import ConfigType
from mmengine.config import Config
from mmengine.dataset import Compose

from micacl_mm.records.config_hash import inner_dataset, short_type

from .clips import Clip, ClipError


def test_pipeline_of(cfg: Config) -> list[ConfigType]:
    """The transforms of the test set, through its wrappers.

    Raises:
        ValueError: The config has no test set.
    """
    pipeline = inner_dataset(cfg.get('test_dataloader')).get('pipeline')
    if pipeline is None:
        raise ValueError(
            'the config has no test_dataloader with a pipeline; take the '
            'config that the checkpoint was trained with'
        )
    return list(pipeline)


class ClipPipeline:
    """Runs the test pipeline on clips of all kinds.

    Sampling and all that follows the decoding are the config's own; opening
    and decoding are the stock transforms for the kind of the clip.

    Args:
        pipeline (Sequence[dict]): Of the test set.

    Raises:
        ValueError: It has no decoding step.
    """

    def __init__(self, pipeline: Sequence[ConfigType]) -> None:
        steps = [step for step in pipeline if not _kind(step).endswith('Init')]
        kinds = list(map(_kind, steps))
        at = [i for i, kind in enumerate(kinds) if kind.endswith('Decode')]
        if len(at) != 1:
            raise ValueError(
                'the test pipeline must have one step that decodes frames, '
                f'got {", ".join(kinds)}'
            )
        self._sample = Compose(steps[: at[0]])
        self._after = Compose(steps[at[0] + 1 :])
        self._decoders: dict[str, Callable] = {}
        #: Whether it has a step that crops faces, by tracks if it gets one.
        self.crops_faces = 'CropFaces' in kinds

    def sample(self, clip: Clip, frames: np.ndarray) -> dict:
        """Choose among the frames of a clip as the test does.

        Args:
            clip (Clip): Where they are.
            frames (np.ndarray): Numbers of the frames to choose from, (T',).

        Returns:
            dict: With ``frame_inds``, numbers of frames of the clip.
        """
        results = self._sample(
            dict(
                total_frames=len(frames),
                start_index=0,
                modality='RGB',
                avg_fps=clip.fps,
                video_id=clip.name,
            )
        )
        chosen = np.ravel(results['frame_inds'])
        results['frame_inds'] = frames[chosen]
        return results

    def load(
        self, clip: Clip, results: dict, crop: Optional[Callable] = None
    ) -> dict:
        """Decode the chosen frames and prepare them for the model.

        Args:
            clip (Clip): Where they are.
            results (dict): From :meth:`sample`.
            crop (Callable, optional): A transform right after the decoding.
                Defaults to None.

        Returns:
            dict: ``inputs`` and ``data_samples``.

        Raises:
            ClipError: A frame cannot be read.
        """
        kind = clip.decode['type']
        if kind not in self._decoders:
            self._decoders[kind] = TRANSFORMS.build(clip.decode)
        chosen = results['frame_inds']
        try:
            results = self._decoders[kind]({**results, **clip.info()})
            broken = any(image is None for image in results['imgs'])
        except Exception:  # as many kinds of errors as libraries
            broken = True
        if broken:
            raise ClipError(_find_broken(clip, chosen))
        if crop is not None:
            results = crop(results)
        return self._after(results)


def _kind(step: ConfigType) -> str:
    """Name of a transform; pure-Python configs have its class."""
    kind = step['type']
    return short_type(kind) if isinstance(kind, str) else kind.__name__


def _find_broken(clip: Clip, chosen: np.ndarray) -> str:
    """Say which frame it is."""
    for index in dict.fromkeys(chosen.tolist()):
        try:
            clip.frame(index)
        except ClipError as error:
            return str(error)
        except Exception:
            return (
                f'{clip.path}: frame {index} of {len(clip)} cannot be read, '
                'the file is damaged'
            )
    return f'{clip.path}: its frames cannot be read'
