"""A model so small that its export takes a second."""

import copy

import torch
from mmengine.registry import init_default_scope
from torch import nn

import micacl_mm  # noqa: F401  registers everything
from micacl_mm.export.files import reference_scores
from micacl_mm.registry import MODELS

#: Of one video: 2 instances of 3 frames.
SHAPE = (2, 3, 3, 8, 8)
CHANNELS, CLASSES = 4, 3


class TinyImageModel(nn.Sequential):
    """A convolution."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, CHANNELS, 3, 2), nn.BatchNorm2d(CHANNELS), nn.ReLU()
        )


def micacl_neck(num_instances=2):
    shared = dict(in_channels=CHANNELS)
    return dict(
        type='NeckChain',
        num_instances=num_instances,
        necks=[
            dict(type='GEIIM', **shared),
            dict(type='WIAN', out_channels=8, **shared),
        ],
        aux_loss=dict(type='MCCLLoss', class_counts=[9, 5, 2]),
    )


def config(**changes):
    """The config of a tiny MICACL, its parts replaced by ``changes``."""
    model = dict(
        type='Recognizer3D',
        backbone=dict(
            type='FrameBackbone', backbone=dict(type=TinyImageModel)
        ),
        neck=micacl_neck(),
        cls_head=head(),
        data_preprocessor=dict(
            type='ActionDataPreprocessor',
            mean=[110.0, 100.0, 95.0],
            std=[58.0, 56.0, 55.0],
            format_shape='NCTHW',
        ),
    )
    return {**model, **changes}


def head(**changes):
    standard = dict(
        type='I3DHead',
        num_classes=CLASSES,
        in_channels=8,
        topk=(1,),
        average_clips='prob',
    )
    return {**standard, **changes}


def build(cfg=None):
    """Build a model, and let nothing of it be zero or one by chance."""
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(cfg or config()))
    return stir(model)


def stir(model):
    """Take a model away from its start, where parts of it do nothing."""
    with torch.no_grad():
        for parameter in model.parameters():
            # Not so far that scores would be 0 and 1, whatever comes in.
            inputs = max(1, parameter[0].numel() if parameter.dim() > 1 else 4)
            noise = torch.randn_like(parameter)
            parameter.add_(0.3 / inputs**0.5 * noise)
        for name, buffer in model.named_buffers():
            if name.endswith('running_mean'):
                buffer.add_(0.1 * torch.randn_like(buffer))
            if name.endswith('running_var'):
                buffer.mul_(1 + torch.rand_like(buffer))
    return model.eval()


def start(path):
    """Open an ONNX file, for one thread of the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(path), options, providers=['CPUExecutionProvider']
    )


def spread_scores(model, frames):
    """Bring the logits to a deviation of 1.

    Scores of 0 and 1, or all equal, would hide differences.
    """
    head = model.cls_head
    head.average_clips = 'score'
    logits = reference_scores(model, frames)
    head.average_clips = 'prob'
    *_, last = (m for m in head.modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        last.weight.div_(logits.std())
        last.bias.div_(logits.std())
