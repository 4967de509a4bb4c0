"""What a file says of itself: shape, classes, how to make its input."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
from mmengine.config import Config
from torch import nn

from micacl_mm.apis.clips import open_clip
from micacl_mm.apis.inferencer import ClipPipeline
from micacl_mm.apis.loading import class_names, first_line
from micacl_mm.records.config_hash import inner_dataset
from micacl_mm.registry import TRANSFORMS
from micacl_mm.version import __version__

#: Height, width and number of frames of two clips that are made up.
_CLIPS = ((240, 320, 300), (360, 300, 97))


class Description(NamedTuple):
    """What there is to know of a model before it is exported.

    ``shape`` is that of one video as the test pipeline packs it, (views, C,
    T, H, W); ``metadata`` is written into the file.
    """

    shape: tuple[int, ...]
    metadata: dict[str, Any]


def describe(
    cfg: Config,
    model: nn.Module,
    checkpoint_meta: Optional[Mapping[str, Any]] = None,
    method: str = '',
    shape: Optional[Sequence[int]] = None,
) -> Description:
    """Say what goes into a model and what comes out.

    The test pipeline is run on clips that are made up, so no data set is
    needed.

    Args:
        cfg (Config): A whole config.
        model (nn.Module): The recognizer that was built from it.
        checkpoint_meta (Mapping, optional): ``meta`` of the checkpoint, whose
            class names count more than those of the config's data set.
        method (str): A name to be written down. Defaults to ''.
        shape (Sequence[int], optional): Of one video, instead of what the
            test pipeline gives. Defaults to None.

    Returns:
        Description: the shape of one video, and metadata as docs/export.md
        lists them.

    Raises:
        ValueError: The test pipeline cannot be built, or does not say one
            shape; or the checkpoint has other classes than the head.
    """
    dataset = inner_dataset(cfg.get('test_dataloader'))
    steps = [_build(step) for step in dataset.get('pipeline', [])]
    recipe = {}
    if shape is None:
        shape = _packed_shape(cfg)
        recipe = _recipe(steps) if len(shape) == 5 else {}
    average = getattr(getattr(model, 'cls_head', None), 'average_clips', None)
    metadata = dict(
        method=method,
        version=__version__,
        classes=[*class_names(model, dict(meta=checkpoint_meta), cfg)] or None,
        scores={'prob': 'probabilities', 'score': 'logits'}.get(average),
        num_instances=shape[0],
        frames_per_instance=shape[2] if len(shape) == 5 else 1,
        size=list(shape[-2:]),
        pipeline=[' '.join(repr(step).split()) for step in steps],
        **recipe,
    )
    return Description(tuple(shape), metadata)


def _build(step: Mapping[str, Any]) -> Callable:
    try:
        return TRANSFORMS.build(step)
    except Exception as error:  # KeyError, or whatever a transform raises
        raise ValueError(
            f'export: {step.get("type")} of the test pipeline cannot be built '
            f'({first_line(error)}); correct it in the config, or name the '
            'module that registers it in custom_imports'
        ) from error


def _packed_shape(cfg: Config) -> tuple[int, ...]:
    """Run the test pipeline on clips of several sizes, all black."""
    try:
        pipeline = ClipPipeline(cfg, margin=0.0)
        shapes = {_pack(pipeline, *clip) for clip in _CLIPS}
    except Exception as error:  # whatever transforms raise
        raise ValueError(
            'export: the test pipeline cannot be run on a clip of blank '
            f'frames ({type(error).__name__}: {error}); give --shape'
        ) from error
    if len(shapes) > 1:
        raise ValueError(
            'export: the test pipeline gives videos of different sizes, such '
            f'as {sorted(shapes)}; end it by a Resize with keep_ratio=False '
            'or a CenterCrop, or give --shape'
        )
    return shapes.pop()


def _pack(
    pipeline: ClipPipeline, height: int, width: int, length: int
) -> tuple[int, ...]:
    frame = np.zeros((height, width, 3), np.uint8)
    clip = open_clip(np.broadcast_to(frame, (length, *frame.shape)))
    results = pipeline.sample(clip, np.arange(length))
    images = [frame] * len(results['frame_inds'])
    return tuple(pipeline.prepare(results, images, None)['inputs'].shape)


def _recipe(steps: Sequence[Callable]) -> dict[str, Any]:
    """How to make the input by hand, where that is simple; else nothing."""
    names = [type(step).__name__ for step in steps]
    by_name = dict(zip(names, steps, strict=True))
    names = [name for name in names if not name.endswith(('Init', 'Decode'))]
    plain = ['SampleInstances', 'Resize', 'FormatShape', 'PackActionInputs']
    if names != plain:
        return {}
    resize, sampler = by_name['Resize'], by_name['SampleInstances']
    if resize.keep_ratio or resize.interpolation != 'bilinear':
        return {}
    # Of a clip with one frame a segment every frame is sampled, in order.
    clip = dict(total_frames=sampler.num_frames, start_index=0)
    frames = sampler.transform(clip)['frame_inds']
    windows = frames.reshape(sampler.num_instances, -1).tolist()
    return dict(num_frames=sampler.num_frames, windows=windows)
