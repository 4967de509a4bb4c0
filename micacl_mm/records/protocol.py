"""Which set was tested, how its clips were sampled, and how many."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from micacl_mm.datasets.base import DRAWN_MARKER, BaseDFERDataset

from .config_hash import short_type

BENCHMARK_MARKER = 'benchmark.json'  # in the root of a set of fixed recipe
_RECIPE = {'name', 'version', 'level', 'labels'}
#: Transforms that draw, beside those called Random...
_CHANCE = {
    *('ClipColorJitter', 'ColorJitter', 'ImgAug', 'MultiScaleCrop'),
    # Of torchvision and pytorchvideo.
    *('AugMix', 'AutoAugment', 'ElasticTransform', 'GaussianBlur'),
    'TrivialAugmentWide',
}
#: Samplers that never draw.
_STILL = {'UntrimmedSampleFrames'}
#: Those that name another transform by ``op``.
_WRAPPERS = {'PytorchVideoWrapper', 'TorchVisionWrapper'}
#: Where transforms keep others, as settings and once built.
_NESTED = ('transforms', 'subroutines')
_CROPS = {'CenterCrop': 1, 'ThreeCrop': 3, 'TenCrop': 10}


def dataset_id(dataset: Any) -> str:
    """Name a data set, without wrappers, as the leaderboard does.

    ``'dfew'``, ``'ferv39k'``, ``'synthetic-v1-medium'`` for a benchmark set,
    ``'synthetic'`` for another drawn one and for a benchmark set whose labels
    are not the reference's; of other data sets the name in their meta
    information or that of the class.
    """
    root = Path(getattr(dataset, 'data_root', None) or '.')
    drawn = isinstance(dataset, BaseDFERDataset) and (
        (root / DRAWN_MARKER).is_file() or (root / BENCHMARK_MARKER).is_file()
    )
    if not drawn:
        meta = getattr(dataset, 'metainfo', None) or {}
        return (meta.get('dataset_name') or type(dataset).__name__).lower()
    from micacl_mm.synthetic.benchmark import LABELS

    recipe = _recipe(root)
    if recipe is None or recipe['labels'] != LABELS.get(recipe['level']):
        return 'synthetic'
    return '{name}-v{version}-{level}'.format(**recipe)


def frames_of(dataset: Any) -> Optional[str]:
    """Tell whether a benchmark set has the frames of its level.

    ``'reference'``, to the byte; ``'differ'``, by rounding on another machine
    or by far; None for other sets.
    """
    if not dataset_id(dataset).startswith('synthetic-'):
        return None
    from micacl_mm.synthetic.benchmark import FRAMES

    recipe = _recipe(Path(dataset.data_root))
    same = recipe.get('frames') == FRAMES.get(recipe['level'])
    return 'reference' if same else 'differ'


def _recipe(root: Path) -> Optional[dict]:
    """The recipe in a benchmark set; None where it cannot be read."""
    try:
        recipe = json.loads((root / BENCHMARK_MARKER).read_text())
        sound = recipe.keys() >= _RECIPE and isinstance(recipe['level'], str)
    except (OSError, ValueError, RecursionError, AttributeError):
        return None
    return recipe if sound else None


def count_dropped(dataset: Any, clips: int) -> Optional[int]:
    """Count the clips of the official split that were not tested.

    None for sets whose official split is not known here.
    """
    if not isinstance(dataset, BaseDFERDataset) or dataset.split != 'test':
        return None
    return len(dataset.split_rows()) - clips


def sampling_in_words(pipeline: Sequence[Any]) -> str:
    """Say how a test pipeline samples a video.

    ``'16 frames, 4 instances of 4, 112 px, 1 crop, no chance'``, or at the
    end ``'chance in Flip'`` if that draws. The transforms may be built or
    settings; those within others count too.
    """
    frames, size, crops, chances = [], '', 1, []
    for name, step in _steps(pipeline):
        if 'Sample' in name:
            frames.append(_frames(name, step))
        crops *= _CROPS.get(name, 1)
        size = _size(name, step) or size
        if _draws(name, step):
            chances.append(name)
    views = '1 crop' if crops == 1 else f'{crops} crops'
    chance = f'chance in {" and ".join(chances)}' if chances else 'no chance'
    return ', '.join(filter(None, [*frames, size, views, chance]))


def _steps(part: Any) -> Iterator[tuple[str, Mapping]]:
    """Name and settings of each transform."""
    if isinstance(part, (list, tuple)):
        for each in part:
            yield from _steps(each)
        return
    built = not isinstance(part, Mapping) and hasattr(part, '__dict__')
    step = vars(part) if built else part
    if not isinstance(step, Mapping):  # such as ImgAug's 'default'
        return
    kind = type(part) if built else step.get('type', '')
    name = short_type(getattr(kind, '__name__', str(kind)))
    if name:
        yield name, step
    # What ImgAug holds is of another library.
    for key in () if name == 'ImgAug' else _NESTED:
        yield from _steps(step.get(key))


def _frames(name: str, step: Mapping[str, Any]) -> str:
    if name == 'SampleInstances':
        total = step.get('num_frames', 16)
        length = step.get('instance_len', 4)
        stride = step.get('instance_stride') or length
        words = f'{total} frames, {(total - length) // stride + 1} instances'
        apart = '' if stride == length else f' at stride {stride}'
        return f'{words} of {length}{apart}'
    clips = step.get('num_clips', 1)
    clips *= step.get('num_sample_positions', 1)
    clips *= 2 if step.get('twice_sample') else 1
    length, interval = step.get('clip_len'), step.get('frame_interval', 1)
    text = '1 clip' if clips == 1 else f'{clips} clips'
    if length is not None:
        text += f' of {length} frame' + ('s' if length != 1 else '')
    return text + (f' at stride {interval}' if interval != 1 else '')


def _size(name: str, step: Mapping[str, Any]) -> str:
    size = step.get('crop_size') if 'Crop' in name else None
    if name == 'Resize':
        size = step.get('scale')
    if size is None:
        return ''
    sides = [size] if isinstance(size, (int, float)) else list(size)
    # (-1, 256), or inf in its place: the shorter side.
    sides = [
        side
        for side in sides
        if isinstance(side, (int, float)) and 0 < side < math.inf
    ]
    return ' x '.join(map(str, dict.fromkeys(sides))) + ' px' if sides else ''


def _draws(name: str, step: Mapping[str, Any]) -> bool:
    if name == 'Flip':
        return 0 < step.get('flip_ratio', 0.5) < 1
    if name in _WRAPPERS:
        name = str(step.get('op') or type(step.get('trans')).__name__)
        name = short_type(name)
    elif 'Sample' in name and name not in _STILL:
        return not step.get('test_mode', False)
    return name.startswith('Rand') or name in _CHANCE
