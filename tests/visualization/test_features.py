"""What enters the classification, for heads of every kind."""

import mmaction.engine  # noqa: F401  initializers that graph models name
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from micacl_mm.apis.features import (
    BagFeatures,
    collect_features,
    features_of,
    final_layer,
)

from ..mixing.families import FAMILIES, build, videos
from .helpers import LABELS, Videos

WHOLE = 'GEIIM + WIAN + MCCL'
BY_NAME = {family.name: family for family in FAMILIES}
R3D = BY_NAME['I3D, R3D (ResNet3d)']


def loader_of(inputs, labels=LABELS):
    return DataLoader(
        Videos(inputs, labels), batch_size=2, collate_fn=pseudo_collate
    )


def scores_of(model, inputs):
    with torch.no_grad():
        found = model.test_step(pseudo_collate(list(Videos(inputs))))
    return torch.stack([sample.pred_score for sample in found])


@pytest.mark.parametrize(
    ('name', 'column'),
    [
        ('I3D, R3D (ResNet3d)', WHOLE),
        ('SlowFast', WHOLE),
        ('TSM', 'MCCL'),
        ('ST-GCN', 'MCCL'),
    ],
)
def test_the_last_layer_makes_the_scores_of_them(name, column):
    model = build(BY_NAME[name], column).eval()
    inputs = torch.cat([videos(BY_NAME[name], column)] * 2)[:3]
    bags = features_of(model, loader_of(inputs))
    layer, layer_name = final_layer(model)
    assert bags.source == f'input of {layer_name}' != 'input of cls_head'
    assert bags.labels.tolist() == list(LABELS)
    assert bags.classes == ['a', 'b', 'c']
    assert bags.features.shape == (3, layer.in_features)
    scores = layer(torch.from_numpy(bags.features)).softmax(dim=1)
    torch.testing.assert_close(scores, scores_of(model, inputs))


def test_features_of_several_crops_are_averaged():
    model = build(R3D, WHOLE).eval()
    crops = [torch.rand(3, R3D.num_instances, *R3D.shape) for _ in range(2)]
    both = features_of(model, loader_of(torch.cat(crops, dim=1))).features
    alone = [features_of(model, loader_of(crop)).features for crop in crops]
    np.testing.assert_allclose(both, np.mean(alone, axis=0), atol=1e-5)
    assert np.abs(alone[0] - alone[1]).max() > 1e-3


def test_a_run_is_loaded_and_tested_without_chance(trained):
    model, cfg, path, inputs = trained
    cfg.model.backbone.pretrained = 'no/such/file.pth'  # and none is needed
    bags = collect_features(cfg, path)
    with torch.no_grad():
        maps = model.backbone(inputs.flatten(0, 1))
    expected = maps.mean(dim=(2, 3, 4)).numpy()
    np.testing.assert_allclose(bags.features, expected, atol=1e-5)
    assert cfg.model.backbone.pretrained == 'no/such/file.pth'
    kept = bags.save(path.parent / 'deep' / 'features.npz')
    with np.load(kept) as found:
        again = BagFeatures(*(found[name] for name in BagFeatures._fields))
    np.testing.assert_array_equal(again.features, bags.features)
    assert again.labels.tolist() == list(LABELS)
    assert again.classes.tolist() == ['a', 'b', 'c']
    assert [p.name for p in kept.parent.iterdir()] == ['features.npz']
