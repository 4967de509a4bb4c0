"""Necks on bags in stock recognizers, in front of stock heads."""

import copy

import pytest
import torch
from mmaction.models.recognizers import Recognizer2D, Recognizer3D
from mmengine.registry import init_default_scope

from micacl_mm.registry import MODELS

from .helpers import predict, samples

C, K, M = 32, 5, 4
SLOW_ONLY = dict(
    type='ResNet3dSlowOnly', depth=18, base_channels=4, pretrained=None
)
TSN = dict(type='ResNet', depth=18, norm_eval=False)
TSM = dict(
    type='ResNetTSM',
    num_segments=M,
    depth=18,
    norm_eval=False,
    pretrained2d=False,
)
STGCN = dict(
    type='STGCN',
    base_channels=8,
    num_stages=4,
    inflate_stages=[3],
    down_stages=[3],
    graph_cfg=dict(layout='coco', mode='stgcn_spatial'),
)
GEIIM = dict(type='GEIIM', in_channels=C, num_instances=M)
WIAN = dict(type='WIAN', in_channels=C, out_channels=C, num_instances=M)
CARRIER = dict(
    type='PassThroughNeck',
    aux_loss=dict(type='MCCLLoss', class_counts=[9, 8, 7, 6, 5]),
)


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmaction')


def recognizer(kind, backbone, neck, head, **kwargs):
    cfg = dict(type=kind, backbone=backbone, **kwargs)
    if neck is not None:
        cfg['neck'] = neck
    cfg['cls_head'] = dict(
        num_classes=K, topk=(1,), average_clips='prob', **head
    )
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(cfg))
    model.init_weights()
    return model


def model3d(neck, channels=C, **kwargs):
    head = dict(type='I3DHead', in_channels=channels)
    return recognizer('Recognizer3D', SLOW_ONLY, neck, head, **kwargs)


def model2d(neck, channels=512, backbone=TSM, **kwargs):
    head = dict(type='TSNHead', in_channels=channels)
    return recognizer('Recognizer2D', backbone, neck, head, **kwargs)


def video(views, videos=2, frames=2):
    return torch.rand(videos, views, 3, frames, 32, 32)


def pictures(views, videos=2):
    return torch.rand(videos, views, 3, 32, 32)


def skeletons(clips, videos=2):
    return torch.rand(videos, clips, 2, 8, 17, 3)  # people, frames, joints


def step(model, inputs, labels=(0, 1)):
    model.train()
    losses = model(inputs, samples(labels), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    return losses


HEADS = [
    dict(type='I3DHead'),
    dict(type='X3DHead'),
    dict(type='TSNHead'),
    dict(type='TPNHead'),
    dict(type='SlowFastHead', dropout_ratio=0),
    dict(type='TimeSformerHead'),
    dict(type='UniFormerHead'),
    dict(type='MViTHead'),
    dict(type='MViTHead', with_cls_token=False),
    dict(type='GCNHead'),
]
HOSTS = {
    'Recognizer3D': (SLOW_ONLY, C, video),
    'Recognizer2D': (
        dict(type='MobileNetV2', widen_factor=0.25),
        1280,
        pictures,
    ),
    'RecognizerGCN': (STGCN, 16, skeletons),
}


@pytest.mark.parametrize(
    'kind, head',
    [
        *[('Recognizer3D', head) for head in HEADS],
        ('Recognizer2D', dict(type='TSNHead')),
        ('RecognizerGCN', dict(type='GCNHead')),
    ],
    ids=str,
)
def test_every_head_sees_the_feature_of_the_neck(head, kind):
    backbone, channels, inputs = HOSTS[kind]
    mccl = dict(CARRIER['aux_loss'], form='ratio', focal='attached')
    model = recognizer(
        kind,
        backbone,
        dict(GEIIM, in_channels=channels, aux_loss=mccl),
        dict(head, in_channels=channels),
    )
    losses = step(model, inputs(M), labels=(1, 1))
    assert losses['loss_cls'] > 0 and losses['loss_mccl'] != 0
    assert all(
        p.grad is not None and p.grad.isfinite().all()
        for p in [*model.neck.parameters(), *model.cls_head.parameters()]
    )
    crops = inputs(3 * M)
    found = predict(model, crops)
    # By hand: the head's last layers on the feature of each crop's bag.
    with torch.no_grad():
        maps, _ = model.extract_feat(crops, stage='backbone')
        maps = maps.transpose(1, 2) if kind == 'RecognizerGCN' else maps
        feature = model.neck(maps)[0].flatten(1)  # (videos * crops, C)
        layers = model.cls_head
        if head['type'] == 'X3DHead':
            logits = layers.fc2(layers.relu(layers.fc1(feature)))
        elif head['type'] == 'GCNHead':
            logits = layers.fc(feature)
        else:
            logits = layers.fc_cls(feature)
    by_hand = logits.softmax(1).unflatten(0, (2, 3)).mean(1)
    torch.testing.assert_close(found, by_hand)


def test_max_testing_views():
    head = dict(type='MViTHead', in_channels=C)
    crops = video(3 * M, videos=1)
    options = dict(test_cfg=dict(max_testing_views=M))
    model = recognizer('Recognizer3D', SLOW_ONLY, GEIIM, head, **options)
    whole = recognizer('Recognizer3D', SLOW_ONLY, GEIIM, head)
    torch.testing.assert_close(predict(model, crops), predict(whole, crops))
    model.test_cfg['max_testing_views'] = 6
    with pytest.raises(ValueError, match='max_testing_views=6.*multiple of 4'):
        predict(model, crops)


def tpn(channels, out, scale, **kwargs):
    return dict(
        type='TPN',
        in_channels=channels,
        out_channels=32,
        spatial_modulation_cfg=dict(in_channels=channels, out_channels=out),
        temporal_modulation_cfg=dict(downsample_scales=(scale, scale)),
        upsample_cfg=dict(scale_factor=(1, 1, 1)),
        downsample_cfg=dict(downsample_scale=(1, 1, 1)),
        level_fusion_cfg=dict(
            in_channels=(32, 32),
            mid_channels=(32, 32),
            out_channels=32,
            downsample_scales=((1, 1, 1), (1, 1, 1)),
        ),
        **kwargs,
    )


# Recognizer2D


@pytest.mark.parametrize(
    'kind, focal',
    [('Recognizer3D', 'detached'), ('RecognizerGCN', 'attached')],
)
def test_a_loss_of_the_neck_gets_the_class_scores(kind, focal):
    backbone, channels, inputs = HOSTS[kind]
    mccl = dict(type='MCCLLoss', class_counts=[9, 8, 7, 6, 5], focal=focal)
    neck = dict(GEIIM, in_channels=channels, aux_loss=mccl)
    neck = dict(type='NeckChain', num_instances=M, necks=[neck])
    head = dict(type='I3DHead', in_channels=channels, dropout_ratio=0)
    model = recognizer(kind, backbone, neck, head)
    seen = []
    model.neck.register_forward_hook(lambda _, args, out: seen.append(out[0]))
    losses = step(model, inputs(M, videos=3), labels=(1, 1, 0))
    feature = seen[0].detach()
    expected = model.neck.necks[0].aux_loss(
        feature.flatten(1), torch.tensor([1, 1, 0]), model.cls_head(feature)
    )
    torch.testing.assert_close(losses['loss_mccl'], expected)
    # The classifier learns from it only where p is attached.
    assert expected > 0 and expected.requires_grad == (focal == 'attached')


def test_tpn_in_front_in_2d():
    stock = tpn((256, 512), 512, M)
    chain = dict(
        type='NeckChain',
        num_instances=1,
        necks=[stock, dict(type='PassThroughNeck')],
        aux_loss=CARRIER['aux_loss'],
    )
    head = dict(type='TPNHead', in_channels=2048)
    backbone = dict(TSM, out_indices=(2, 3))
    plain = recognizer('Recognizer2D', backbone, stock, head).eval()
    model = recognizer('Recognizer2D', backbone, chain, head)
    assert step(model, pictures(M, 3), (1, 1, 0))['loss_mccl'] > 0
    state = {
        key.replace('neck.stock_necks.0.', 'neck.'): value
        for key, value in model.state_dict().items()
    }
    assert not plain.load_state_dict(state, strict=False).missing_keys
    inputs = pictures(M)
    for test_cfg in (None, dict(fcn_test=True, num_segs=M)):
        # A convolution takes the place of the linear layer at the first call.
        plain.test_cfg = model.test_cfg = test_cfg
        torch.testing.assert_close(
            predict(model, inputs), predict(plain, inputs)
        )


def test_a_backbone_that_joins_frames_makes_fewer_instances():
    backbone = dict(TSM, num_segments=8, temporal_pool=True)
    wrong = dict(GEIIM, in_channels=512, num_instances=8)
    model = model2d(wrong, backbone=backbone)
    for mode in ('loss', 'predict'):
        with pytest.raises(ValueError, match='4 clips.*num_instances=8'):
            model(pictures(8), samples([0, 1]), mode=mode)
    model = model2d(dict(wrong, num_instances=4), backbone=backbone)
    step(model, pictures(8))
    assert predict(model, pictures(16)).isfinite().all()


# other recognizers


def test_stock_models_run_the_stock_code(monkeypatch):
    for cls, kind, backbone, inputs in (
        (Recognizer3D, 'Recognizer3D', SLOW_ONLY, video(1)),
        (Recognizer2D, 'Recognizer2D', TSM, pictures(M)),
    ):
        channels = C if backbone is SLOW_ONLY else 512
        head = 'I3DHead' if backbone is SLOW_ONLY else 'TSNHead'
        model = recognizer(
            kind, backbone, None, dict(type=head, in_channels=channels)
        )
        found = predict(model, inputs)
        stock = cls.extract_feat.__wrapped__
        assert not hasattr(stock, '__wrapped__')
        monkeypatch.setattr(cls, 'extract_feat', stock)
        assert torch.equal(predict(model, inputs), found)
        monkeypatch.undo()


def test_stock_heads_take_logits_of_bfloat16():
    head = MODELS.build(dict(type='I3DHead', num_classes=3, in_channels=4))
    logits = torch.tensor([[3.0, 0, 0], [0, 0, 2.0]], requires_grad=True)
    losses = head.loss_by_feat(logits.bfloat16(), samples([0, 2]))
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2]))
    torch.testing.assert_close(losses['loss_cls'], expected)
    assert losses['top1_acc'] == 1
    losses['loss_cls'].backward()
    assert logits.grad.isfinite().all() and logits.grad.any()


@pytest.mark.parametrize('stage', ['backbone', 'neck', 'head'])
def test_stages_in_tensor_mode(stage):
    for model, inputs, size in (
        (model3d(WIAN), video(M), C),
        (model2d(dict(WIAN, in_channels=512), C), pictures(M), 512),
    ):
        model.eval()
        x = model(inputs, stage=stage)
        rows, columns = {
            'backbone': (2 * M, size),
            'neck': (2, C),
            'head': (2, K),
        }[stage]
        assert x.shape[:2] == (rows, columns) and x.isfinite().all()


def refusal(model, inputs, match, error=ValueError, modes=('loss',)):
    for mode in modes:
        with pytest.raises(error, match=match):
            model(inputs, samples([0, 1]), mode=mode)


def test_what_cannot_work_says_what_to_change():
    both = ('loss', 'predict')
    for kind in ('TSMHead', 'TRNHead', 'RGBPoseHead'):
        channels = (C, C) if kind == 'RGBPoseHead' else C
        model = model3d(WIAN)
        model.cls_head = MODELS.build(
            dict(type=kind, num_classes=K, in_channels=channels)
        )
        match = f'{kind} cannot follow WIAN.*Head'
        refusal(model, video(M), match, TypeError)
    refusal(model3d(WIAN, 7), video(M), f'set in_channels={C} there')
    # 2 videos x 6 clips would make 3 whole bags, one of them of both videos.
    match = '6 clips.*num_instances=4.*num_clips'
    refusal(model3d(WIAN), video(6), match, modes=both)
    refusal(model3d(WIAN), video(2 * M), '2 videos came as 4 bags')
    model = model3d(WIAN)
    model.neck = MODELS.build([GEIIM, WIAN])
    refusal(model, video(M), "type='NeckChain'", TypeError)
    model = model2d(dict(type='NeckChain', num_instances=M, necks=[GEIIM]), C)
    model.neck.stock_necks.append(torch.nn.Identity())
    match = 'joins the frames.*num_instances=1'
    refusal(model, pictures(M), match, modes=both)
    for kind in ('Recognizer3D', 'RecognizerGCN'):
        backbone, channels, inputs = HOSTS[kind]
        head = dict(type='I3DHead', in_channels=channels)
        model = recognizer(kind, backbone, CARRIER, head)
        refusal(model, inputs(3), 'set num_instances=3')
    for name in ('fcn_test', 'max_testing_views'):
        neck = dict(GEIIM, in_channels=512)
        model = model2d(neck, test_cfg={name: M})
        refusal(model, pictures(M), f'use {name}.*remove it', modes=both)
    for kind in ('RecognizerAudio', 'MMRecognizer3D'):
        head = dict(type='TSNHead', in_channels=C)
        model = recognizer(kind, TSN, CARRIER, head)
        match = f'{kind} calls no neck, PassThrough'
        refusal(model, pictures(M), match, TypeError)
