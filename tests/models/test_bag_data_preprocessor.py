import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from micacl_mm.models import BagDataPreprocessor
from micacl_mm.registry import MODELS

from .helpers import samples

M, L = 4, 4


def frame(number):
    """A frame of 6 x 5 pixels, no two of them alike."""
    pixels = np.arange(6 * 5 * 3).reshape(6, 5, 3)
    return (pixels + number * 7).astype(np.uint8)


def pipeline_output(crops=1):
    """What the stock pipeline makes of frames 0, 1, 2, ... of a video."""
    init_default_scope('mmaction')
    sample = Compose(
        [
            dict(
                type='SampleInstances',
                num_frames=M * L,
                instance_len=L,
                test_mode=True,
            ),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs'),
        ]
    )
    imgs = [
        frame(number + 100 * crop)
        for crop in range(crops)
        for number in range(M * L)
    ]
    info = dict(total_frames=M * L, start_index=0, label=0, imgs=imgs)
    return sample({**info, 'num_crops': crops})['inputs']


@pytest.mark.parametrize('crops', [1, 3])
@pytest.mark.parametrize('view', ['clip', 'frames'])
def test_frames_come_in_their_order(view, crops):
    inputs = pipeline_output(crops)
    assert inputs.shape == (crops * M, 3, L, 6, 5)
    build = dict(type='BagDataPreprocessor', view=view)
    data = dict(inputs=[inputs, inputs + 1], data_samples=samples([0, 1]))
    found = MODELS.build(build)(data)['inputs']
    for video in range(2):
        for crop in range(crops):
            for number in range(M * L):
                if view == 'clip':
                    image = found[video, crop, :, number]
                else:
                    image = found[video, crop * M * L + number]
                expected = torch.as_tensor(frame(number + 100 * crop))
                expected = (expected + video).permute(2, 0, 1)
                assert torch.equal(image, expected.float())
    clip = (2, crops, 3, M * L, 6, 5)
    assert found.shape == (
        clip if view == 'clip' else (2, crops * 16, 3, 6, 5)
    )
    found.view(-1, *found.shape[2:])  # as recognizers do, without a copy


def test_values_and_blending_are_the_stock_ones():
    kwargs = dict(
        mean=[10.0, 20.0, 30.0],
        std=[2.0, 3.0, 4.0],
        blending=dict(type='MixupBlending', num_classes=7, alpha=0.5),
    )
    ours = BagDataPreprocessor(view='clip', **kwargs)
    stock = MODELS.build(
        dict(type='ActionDataPreprocessor', format_shape='NCTHW', **kwargs)
    )
    outputs = []
    for preprocessor in (ours, stock):
        torch.manual_seed(1)
        video = torch.randint(0, 255, (2, M, 3, L, 6, 5), dtype=torch.uint8)
        data = dict(inputs=list(video), data_samples=samples([0, 1]))
        outputs.append(preprocessor(data, training=True))
    joined, bags = (output['inputs'] for output in outputs)
    for instance, clip in enumerate(bags.unbind(1)):
        part = joined[:, 0, :, instance * L : (instance + 1) * L]
        assert torch.equal(part, clip)
    labels = [
        torch.stack([sample.gt_label for sample in output['data_samples']])
        for output in outputs
    ]
    assert torch.equal(*labels) and labels[0].shape == (2, 7)


@pytest.mark.parametrize(
    'options, match',
    [
        (dict(view='bag'), "'clip', 'frames', got 'bag'"),
        (dict(view='clip', num_instances=0), 'num_instances'),
        (dict(view='frames', format_shape='NCHW'), 'format_shape'),
    ],
)
def test_wrong_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        BagDataPreprocessor(**options)


@pytest.mark.parametrize('shape', [(3, 3, 4, 6, 5), (16, 3, 6, 5)])
def test_videos_that_are_no_bags(shape):
    data = dict(inputs=[torch.rand(shape)], data_samples=samples([0]))
    with pytest.raises(ValueError, match='SampleInstances agree'):
        BagDataPreprocessor(view='clip')(data)
