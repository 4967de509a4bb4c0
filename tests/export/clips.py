"""Clips for the example, and what the test pipeline makes of them."""

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

#: Runs a script in a process that has neither PyTorch nor us.
ALONE = """
import runpy, sys
for name in ('torch', 'mmengine', 'mmcv', 'mmaction', 'micacl_mm'):
    sys.modules[name] = None  # importing it fails
names = runpy.run_path({script!r})
__import__('numpy').save('scores.npy', names['scores'])
"""


def write_clip(path, length, kind):
    """Blurred noise, of a size of its own."""
    rng = np.random.default_rng(length)
    small = rng.integers(0, 256, (length, 9, 8, 3), np.uint8)
    images = [cv2.resize(image, (80, 90)) for image in small]
    if kind == 'video':
        fourcc = cv2.VideoWriter_fourcc(*'mp4v')
        writer = cv2.VideoWriter(str(path), fourcc, 25, (80, 90))
        for image in images:
            writer.write(image)
        writer.release()
        return dict(filename=str(path))
    path.mkdir()
    (path / 'Thumbs.db').write_text('no picture')
    for number, image in enumerate(images, start=1):
        cv2.imwrite(str(path / f'face_{number}.jpg'), image)
    return dict(
        frame_dir=str(path),
        filename_tmpl='face_{}.jpg',
        total_frames=length,
        start_index=1,
        modality='RGB',
    )


def stock_scores(cfg, model, clip, kind):
    """Scores of the test pipeline and the model itself."""
    init_default_scope('mmaction')
    steps = [*cfg.test_pipeline]
    if kind == 'video':
        at = [step['type'] for step in steps].index('RawFrameDecode')
        steps[at] = dict(type='OpenCVDecode')
        steps.insert(0, dict(type='OpenCVInit'))
    packed = Compose(steps)(dict(clip, label=0))
    batch = {key: [value] for key, value in packed.items()}
    with torch.no_grad():
        return model.test_step(batch)[0].pred_score.numpy()
