import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from .cases import SMALL_RESNET, Tiny, build, clips, close, step


@pytest.mark.parametrize(
    ('length', 'chunk_size', 'sizes'),
    [
        *((3, 1, [1] * 3), (3, 100, [3]), (5, 4, [3, 2]), (7, 3, [3, 2, 2])),
        *((6, 2, [2] * 3), (3, 2, [2, 1])),
    ],
)
def test_chunks_are_even_and_change_nothing(length, chunk_size, sizes):
    x = clips(1, length, 16)
    whole = build(SMALL_RESNET).eval()
    parts = build(SMALL_RESNET, chunk_size=chunk_size).eval()
    parts.load_state_dict(whole.state_dict())
    seen = []
    parts.backbone.register_forward_pre_hook(
        lambda _, args: seen.append(len(args[0]))
    )
    torch.testing.assert_close(parts(x), whole(x), rtol=1e-6, atol=1e-6)
    assert seen == sizes


TSM = dict(
    type='ResNetTSM',
    depth=18,
    num_segments=4,
    shift_div=2,
    pretrained2d=False,
)


def test_temporal_shift_sees_the_frames_of_one_clip_in_order():
    model = build(TSM, pooling='none', chunk_size=4).eval()
    x = clips(2, 8)
    found = model(x)[..., 0, 0]  # (B, C', T)
    for clip, feature in zip(x, found, strict=True):
        for start in (0, 4):  # its segments
            frames = clip[:, start : start + 4].transpose(0, 1)
            expected = model.backbone(frames).mean((2, 3))
            close(feature[:, start : start + 4].T, expected)
    backward = model(x.flip(2))[..., 0, 0].flip(2)
    assert not torch.allclose(backward, found, atol=1e-3)


def test_segments_are_not_cut_apart():
    with pytest.raises(ValueError, match='multiple of num_segments=4'):
        build(TSM, chunk_size=6)
    with pytest.raises(ValueError, match='multiple of num_segm.*clip_len'):
        build(TSM)(clips(2, 6))


class PeakMemory(TorchDispatchMode):
    """Most bytes of tensors, made within it, that live at the same time."""

    def __init__(self):
        super().__init__()
        self.alive, self.peak = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in torch.utils._pytree.tree_leaves(out):
            if isinstance(x, torch.Tensor):
                ref = StorageWeakRef(x.untyped_storage())
                self.alive[ref.cdata] = ref, x.untyped_storage().nbytes()
        self.alive = {
            k: v for k, v in self.alive.items() if not v[0].expired()
        }
        now = sum(size for _, size in self.alive.values())
        self.peak = max(self.peak, now)
        return out


def test_recomputing_keeps_a_training_step_in_the_memory_of_a_chunk():
    def peak(length, **kwargs):
        torch.manual_seed(0)
        model = build(dict(type=Tiny), **kwargs)
        x = clips(1, length, 32)
        step(model, x)  # gradients exist from here on
        with PeakMemory() as memory:
            model(x).sum().backward()
        return memory.peak

    frames = 3 * 32 * 32 * 4  # bytes of one input frame
    short, long = peak(2, chunk_size=2), peak(16, chunk_size=2)
    assert long > 7 * short  # without, it grows with the frames
    kept = dict(chunk_size=2, with_cp=True)
    short, long = peak(2, **kept), peak(16, **kept)
    # Only the frames themselves and their features grow.
    assert long - short < 1.1 * 14 * frames
    assert long < 0.25 * peak(16, chunk_size=2)


@pytest.mark.parametrize('chunk_size', [None, 4])
def test_recomputing_changes_no_number(chunk_size):
    plain = build(dict(type=Tiny, drop=0.5), chunk_size=chunk_size)
    again = build(
        dict(type=Tiny, drop=0.5), chunk_size=chunk_size, with_cp=True
    )
    again.load_state_dict(plain.state_dict())
    x = clips(2, 3, 8)
    for found, expected in zip(step(again, x), step(plain, x), strict=True):
        # Buffers among them: a chunk counts once in the running statistics.
        torch.testing.assert_close(found, expected)
    assert plain.backbone.bn1.num_batches_tracked > 0
    assert again.backbone.bn1.momentum == 0.1


@pytest.mark.parametrize(
    ('chunk_size', 'with_cp'),
    [(1, False), (4, False), (4, True), (None, True)],
)
def test_running_statistics_forget_as_without_chunks(chunk_size, with_cp):
    model = build(dict(type=Tiny), chunk_size=chunk_size, with_cp=with_cp)
    nn.init.zeros_(model.backbone.conv1.weight)
    nn.init.constant_(model.backbone.conv1.bias, 2)  # the mean of all frames
    norm = model.backbone.bn1
    norm.running_mean.fill_(7)
    for step_count in (1, 2):
        model(clips(2, 3, 4)).sum().backward()
        old = 0.9**step_count
        close(norm.running_mean, torch.full((4,), old * 7 + (1 - old) * 2))
    assert norm.momentum == 0.1
