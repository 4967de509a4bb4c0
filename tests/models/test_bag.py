import pytest
import torch

from micacl_mm.models.bag import Bag, collect, flatten


def test_flatten_averages_every_trailing_axis():
    x = torch.rand(6, 5, 2, 3, 4)
    naive = torch.stack(
        [torch.stack([channel.mean() for channel in clip]) for clip in x]
    )
    torch.testing.assert_close(flatten(x), naive)


def test_flatten_joins_the_pathways_of_slowfast():
    slow, fast = torch.rand(6, 8, 1, 2, 2), torch.rand(6, 3, 4, 2, 2)
    joined = flatten((slow, fast))
    # In the order of SlowFastHead, whose weights then fit.
    torch.testing.assert_close(joined[:, :3], fast.mean((2, 3, 4)))
    torch.testing.assert_close(joined[:, 3:], slow.mean((2, 3, 4)))


@pytest.mark.parametrize(
    'x', [torch.rand(3), torch.rand(3, 4, 5), (), None, [None]]
)
def test_flatten_refuses_what_is_no_feature(x):
    with pytest.raises(TypeError, match='backbone'):
        flatten(x)


def test_collect_keeps_the_clips_of_a_video_together():
    videos = torch.rand(3, 4, 7)  # (N, M, C), clips fastest
    bag = collect(videos.flatten(0, 1), 4)
    assert torch.equal(bag.features, videos)
    assert bag.weights is None
    assert collect(bag, 99) is bag
    assert torch.equal(collect(videos, 4).features, videos)


def test_pooled_is_the_weighted_mean():
    features, weights = torch.rand(2, 3, 5), torch.rand(2, 3).softmax(1)
    naive = torch.zeros(2, 5)
    for n in range(2):
        for m in range(3):
            naive[n] += weights[n, m] * features[n, m]
    torch.testing.assert_close(Bag(features, weights).pooled(), naive)
    torch.testing.assert_close(Bag(features).pooled(), features.mean(1))
    gates = torch.rand(2, 3, 5).softmax(2)
    torch.testing.assert_close(Bag(features, gates).pooled(), features.mean(1))
