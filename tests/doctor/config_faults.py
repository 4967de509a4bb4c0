"""Faults of config, model, classes and checkpoint."""

import torch

from .planting import fault, of_config

# -- classes

ORDER = ['Angry', 'Disgust', 'Fear', 'Happy', 'Sad', 'Surprise', 'Neutral']

of_config(
    'classes of the data set renamed',
    'classes',
    'FAIL',
    'names and order agree',
    f'test_dataloader = dict(dataset=dict(metainfo=dict(classes={ORDER})))\n',
)
of_config(
    'classes of the config in another order',
    'classes',
    'FAIL',
    'names and order agree',
    f'classes = {ORDER}\n',
)
of_config(
    'head of eight classes',
    'classes',
    'FAIL',
    'model.cls_head.num_classes=7',
    'model["cls_head"]["num_classes"] = 8\n',
)
of_config(
    'head of six classes',
    'classes',
    'FAIL',
    'model.cls_head.num_classes=7',
    'model["cls_head"]["num_classes"] = 6\n',
    also=['labels'],
)
of_config(
    'contrast of six classes',
    'classes',
    'FAIL',
    'model.neck.aux_loss.num_classes=7',
    'model["neck"]["aux_loss"]["num_classes"] = 6\n',
)


def checkpoint(bench, classes, change=lambda weights: None):
    from mmengine.config import Config

    from micacl_mm.registry import MODELS

    path = bench.folder / 'tiny.py'
    path.write_text(bench.config)
    weights = MODELS.build(Config.fromfile(path).model).state_dict()
    change(weights)
    meta = dict(epoch=1, dataset_meta=dict(classes=classes))
    file = bench.folder / 'checkpoint.pth'
    torch.save(dict(state_dict=weights, meta=meta), file)
    bench.options['--checkpoint'] = file
    return file


CLASSES = ('Happy', 'Sad', 'Neutral', 'Angry', 'Surprise', 'Disgust', 'Fear')


@fault('checkpoint', 'FAIL', 'another checkpoint')
def checkpoint_of_another_class_order(bench):
    checkpoint(bench, ORDER)


@fault('checkpoint', 'FAIL', 'trained with')
def checkpoint_of_another_model(bench):
    checkpoint(bench, CLASSES, lambda w: w.pop('cls_head.fc_cls.weight'))


@fault('checkpoint', 'FAIL', 'take another')
def checkpoint_cut_off(bench):
    file = checkpoint(bench, CLASSES)
    file.write_bytes(file.read_bytes()[:-1000])


# -- config and model

of_config('config that is no Python', 'config', 'FAIL', 'mend', 'model = (\n')
of_config(
    'config that ends the program',
    'config',
    'FAIL',
    'mend',
    '__import__("sys").exit(3)\n',
)
of_config(
    'config without a test',
    'config',
    'FAIL',
    'whole config',
    'test_dataloader = None\n',
)
of_config(
    'neck that nobody knows',
    'model',
    'FAIL',
    'mend the model',
    'model["neck"]["type"] = "NoSuchNeck"\n',
)
of_config(
    'weights that are not there',
    'weights',
    'FAIL',
    'get the file',
    'model["backbone"]["pretrained"] = "nowhere/r3d18.pth"\n',
)
of_config(
    'mixed precision without a GPU',
    'precision',
    'FAIL',
    'OptimWrapper',
    'optim_wrapper = dict(type="AmpOptimWrapper")\n',
)
of_config(
    'contrast that nobody tells the class counts',
    'forward',
    'FAIL',
    'ClassCountsHook',
    'custom_hooks = []\n',
)
of_config(
    'loss that overflows',
    'forward',
    'FAIL',
    'temperature',
    'model["cls_head"]["loss_cls"] = dict(\n    loss_weight=1e40)\n',
)
of_config(
    'head of another width',
    'forward',
    'FAIL',
    'in_channels=16',
    'model["cls_head"]["in_channels"] = 15\n',
    also=['predict'],
)
of_config(
    'scores without a mean',
    'predict',
    'FAIL',
    'average_clips',
    'model["cls_head"]["average_clips"] = None\n',
)
of_config(
    'test that drops a batch',
    'test loaders',
    'FAIL',
    'drop_last=False',
    'test_dataloader = dict(drop_last=True)\n',
)
of_config(
    'test that is shuffled',
    'test loaders',
    'WARN',
    'shuffle=False',
    'test_dataloader = dict(sampler=dict(shuffle=True))\n',
)
of_config(
    'test that repeats rare classes',
    'test loaders',
    'FAIL',
    'DefaultSampler',
    'val_dataloader = dict(\n'
    '    sampler=dict(_delete_=True, type="ClassBalancedSampler"))\n',
)
PIPELINE = """
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='SampleInstances', num_frames=16, instance_len=4{mode}),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(48, 48), keep_ratio=False),{extra}
    dict(type='FormatShape', input_format='NCTHW'),{end}
]))
"""
TEST, END = ', test_mode=True', "dict(type='PackActionInputs')"
of_config(
    'test that flips by chance',
    'test pipeline',
    'FAIL',
    'take Flip out',
    PIPELINE.format(mode=TEST, extra="dict(type='Flip'),", end=END),
)
of_config(
    'test that samples by chance',
    'test pipeline',
    'FAIL',
    'test_mode=True',
    PIPELINE.format(mode='', extra='', end=END),
)
of_config(
    'pipeline that packs nothing',
    'samples',
    'FAIL',
    'PackActionInputs',
    PIPELINE.format(mode=TEST, extra='', end=''),
)
