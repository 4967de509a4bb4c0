"""Faults that are planted, and the check that is to notice each."""

import shutil
from collections.abc import Callable
from importlib import metadata
from typing import NamedTuple

import torch
from mmengine.config import Config
from PIL import Image

from micacl_mm.doctor import core, facts
from micacl_mm.registry import MODELS
from tests.sets import write_dfew_split

from .bench import GIB, Bench, clip_dir, frame_path, rows_of, write_frame

FAULTS = []
AGAIN = 'unpack these clips again'
CLASSES = ['Happy', 'Sad', 'Neutral', 'Angry', 'Surprise', 'Disgust', 'Fear']
ORDER = ['Angry', 'Disgust', 'Fear', 'Happy', 'Sad', 'Surprise', 'Neutral']


class Fault(NamedTuple):
    """What is planted; ``also`` are other checks that must notice it."""

    name: str
    check: str
    status: str
    cure: str
    plant: Callable[[Bench], None]
    also: tuple[str, ...] = ()


def fault(check, status, cure, also=()):
    def register(plant):
        name = plant.__name__.replace('_', ' ')
        FAULTS.append(Fault(name, check, status, cure, plant, also))
        return plant

    return register


def of_config(check, cure, lines, status='FAIL', also=()):
    """A fault that is some lines of the config."""

    def plant(bench):
        bench.config += lines

    name = f'{check}: {lines[:40]}'
    FAULTS.append(Fault(name, check, status, cure, plant, also))


def of_machine(check, status, cure, **answers):
    """A fault that is what the machine says of itself."""

    def plant(bench):
        for key, value in answers.items():
            bench.machine(key, value)

    FAULTS.append(Fault(f'{check} {answers}', check, status, cure, plant))


def of_version(cure, **versions):
    def plant(bench):
        bench.versions(**versions)

    check = 'known problems'
    FAULTS.append(Fault(f'{versions}', check, 'WARN', cure, plant))


# -- machine and installation

of_machine('workers', 'WARN', 'num_workers=1', cores=1, omp_threads='1')
of_machine('threads', 'WARN', 'OMP_NUM_THREADS', omp_threads='64')
DOCKER = (64 * 2**20, 64 * 2**20)
of_machine('shared memory', 'WARN', '--shm-size', shared_memory=DOCKER)
of_machine('shared memory', 'FAIL', '--shm-size', shared_memory=(GIB, 2**20))
of_machine('disk', 'FAIL', 'free some space', free_disk=1000)
of_version('numpy>=1.26,<2', numpy='2.4.0')
of_version('torch<=2.13', torch='2.14.0')
of_version('torch>=2.10', torch='2.9.1')
of_version('opencv-contrib-python==4.11.0.86', opencv_contrib_python='5.0.0.1')


def gpu(status, cure, cuda=None, hidden=None):
    def plant(bench):
        bench.machine('gpus', [facts.Gpu('NVIDIA H100', '470.1')])
        bench.patch.setattr(torch.version, 'cuda', cuda)
        if hidden is not None:
            bench.patch.setenv('CUDA_VISIBLE_DEVICES', hidden)

    FAULTS.append(Fault(f'gpu {cure}', 'gpu', status, cure, plant))


gpu('WARN', 'CUDA build')
gpu('FAIL', 'update the driver', cuda='12.6')
gpu('WARN', 'unset CUDA_VISIBLE_DEVICES', hidden='')


@fault('work folder', 'FAIL', '--work-dir')
def work_folder_is_a_file(bench):
    path = bench.folder / 'file'
    path.write_text('')
    bench.options['--work-dir'] = path / 'below'


@fault('versions', 'FAIL', 'pip uninstall -y mmcv mmcv-lite')
def mmcv_twice(bench):
    there = metadata.version

    def version(name):
        return '2.1.0' if name in ('mmcv', 'mmcv-lite') else there(name)

    bench.patch.setattr(metadata, 'version', version)


@fault('labels', 'FAIL', 'report this line')
def check_that_breaks(bench):
    def look(case):
        raise ZeroDivisionError('nothing to divide by')
        yield

    broken = core.CHECKS['labels']._replace(look=look)
    bench.patch.setitem(core.CHECKS, 'labels', broken)


# -- clips


@fault('data', 'FAIL', '--missing drop')
def clip_absent(bench):
    shutil.rmtree(clip_dir(bench.spoil(), 10))


@fault('missing clips', 'WARN', AGAIN)
def clip_absent_and_dropped(bench):
    shutil.rmtree(clip_dir(bench.spoil(), 11))
    bench.options['--missing'] = 'drop'


@fault('labels', 'WARN', 'UAR covers only', also=['missing clips'])
def only_test_clip_of_a_class_dropped(bench):
    shutil.rmtree(clip_dir(bench.spoil(), 10))
    bench.options['--missing'] = 'drop'


@fault('data', 'FAIL', '--data-root')
def root_absent(bench):
    bench.root = bench.folder / 'nowhere'


@fault('data', 'FAIL', '--source')
def videos_wanted_where_frames_are(bench):
    bench.options['--source'] = 'videos'


@fault('missing clips', 'FAIL', AGAIN, also=['decode'])
def frame_of_zero_bytes(bench):
    frame_path(bench.spoil(), 10, 1).write_bytes(b'')


def bad_frame(name, spoil, status='FAIL', config=''):
    """A frame that the pipeline's decoder cannot read."""

    def plant(bench):
        spoil(frame_path(bench.spoil(), 10, 1))
        bench.config += config

    cure = "bad_data='resample'" if status == 'FAIL' else AGAIN
    FAULTS.append(Fault(name, 'decode', status, cure, plant))


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def resave(form, **options):
    return lambda path: (
        Image.open(path).convert('P').save(path, form, **options)
    )


bad_frame('JPEG cut off', cut)
bad_frame('web page', lambda path: path.write_text('<html>404</html>'))
bad_frame('size', lambda path: write_frame(path, size=(50, 40)))
bad_frame('GIF by another name', resave('GIF'))
bad_frame('PCX by another name', resave('PCX'))
bad_frame(
    'cut off, and passed over',
    cut,
    'WARN',
    "custom_hooks = [dict(type='ClassCountsHook'),\n"
    "    dict(type='SafeDataHook', bad_data='resample')]\n",
)


def unusual(name, write):
    """A clip of which all frames are like this."""

    def plant(bench):
        root = bench.spoil()
        for frame in range(3):
            write(frame_path(root, 10, frame), frame)

    FAULTS.append(Fault(name, 'content', 'WARN', 'look at these', plant))


unusual('black', lambda p, k: Image.new('RGB', (40, 40)).save(p))
unusual('still', lambda p, k: write_frame(p, 99))
unusual('tiny', lambda p, k: write_frame(p, 99 + k, (10, 10)))
unusual('grey', lambda p, k: write_frame(p, 99 + k, mode='L'))


def copy_clip(root, source, target):
    for frame in range(3):
        shutil.copy(
            frame_path(root, source, frame), frame_path(root, target, frame)
        )


@fault('duplicates', 'FAIL', 'which name is right')
def clip_twice_with_two_labels(bench):
    copy_clip(bench.spoil(), 2, 7)  # both tested in fold 3


@fault('duplicates', 'FAIL', 'which name is right')
def clip_of_test_in_train_by_another_name(bench):
    copy_clip(bench.spoil(), 5, 11)


# -- split files


def rewrite(bench, fold, split, change):
    root = bench.root if bench.root != bench.whole else bench.spoil()
    write_dfew_split(root, split, change(rows_of(fold, split)), fold)


@fault('split files', 'FAIL', 'restore the split file')
def label_out_of_range_in_another_fold(bench):
    rewrite(bench, 3, 'train', lambda rows: [(rows[0][0], 9), *rows[1:]])


@fault('split files', 'FAIL', 'restore the split file')
def clip_listed_twice(bench):
    rewrite(bench, 3, 'test', lambda rows: [*rows, rows[0]])


@fault('split files', 'WARN', 'unpack the split files')
def split_file_absent(bench):
    folder = bench.spoil() / 'EmoLabel_DataSplit'
    (folder / 'test(single-labeled)/set_2.csv').unlink()


@fault('data', 'FAIL', 'restore the split file')
def split_file_of_this_fold_damaged(bench):
    rewrite(bench, 1, 'train', lambda rows: [('x', 1), *rows[1:]])


@fault('folds', 'FAIL', 'restore the split file')
def test_clip_in_place_of_a_training_clip(bench):
    spy = rows_of(4, 'test')[0]

    def change(rows):
        place = next(i for i, row in enumerate(rows) if row[1] == spy[1])
        return [*rows[:place], spy, *rows[place + 1 :]]

    rewrite(bench, 4, 'train', change)


@fault('counts', 'FAIL', 'restore the split file', also=['folds'])
def row_lost_in_one_fold(bench):
    rewrite(bench, 5, 'test', lambda rows: rows[1:])


@fault('counts', 'FAIL', 'restore the split file')
def clip_lost_in_all_folds(bench):
    for fold in range(1, 6):
        for split in ('train', 'test'):
            rewrite(
                bench, fold, split, lambda rows: [r for r in rows if r[0] != 8]
            )


@fault('folds', 'FAIL', 'restore the split file')
def labels_swapped_in_one_fold(bench):
    def change(rows):
        (one, a), (other, b), *rest = rows
        return [(one, b), (other, a), *rest]

    rewrite(bench, 2, 'train', change)


@fault('selection', 'WARN', '--val-ratio')
def checkpoint_selected_on_test(bench):
    bench.options['--val-ratio'] = '0'


INNER = 'train_dataloader = dict(batch_size=16, dataset=dict(val_ratio=0))\n'
of_config('overlap', 'val_ratio', INNER)
of_config(
    'overlap',
    'same fold',
    'test_dataloader = dict(dataset=dict(fold=2))\n',
    also=['selection'],
)

# -- config and model


def set_model(path, value):
    place = ''.join(f'[{key!r}]' for key in path.split('.'))
    return f'model{place} = {value!r}\n'


of_config('classes', 'names and order', f'classes = {ORDER}\n')
of_config(
    'classes',
    'model.cls_head.num_classes=7',
    set_model('cls_head.num_classes', 8),
)
of_config(
    'classes',
    'model.cls_head.num_classes=7',
    set_model('cls_head.num_classes', 6),
    also=['labels'],
)
of_config(
    'classes',
    'model.neck.aux_loss.num_classes=7',
    set_model('neck.aux_loss.num_classes', 6),
)
of_config('config', 'correct', 'model = (\n')
of_config('config', 'correct', '__import__("sys").exit(3)\n')
of_config('config', 'complete config', 'test_dataloader = None\n')
of_config(
    'config', 'OptimWrapper', 'optim_wrapper=dict(type="AmpOptimWrapper")'
)
of_config('config', 'download', set_model('backbone.pretrained', 'no/r.pth'))
of_config('model', 'correct the model', set_model('neck.type', 'NoNeck'))
of_config('forward', 'ClassCountsHook', 'custom_hooks = []\n')
of_config(
    'forward',
    'temperature',
    set_model(
        'cls_head.loss_cls',
        dict(_delete_=True, type='CrossEntropyLoss', loss_weight=1e40),
    ),
)
of_config(
    'forward',
    'in_channels=16',
    set_model('cls_head.in_channels', 15),
    also=['predict'],
)
of_config(
    'predict', 'average_clips', set_model('cls_head.average_clips', None)
)
of_config(
    'samples',
    'batch_size=10',
    'train_dataloader = dict(batch_size=64, drop_last=True)\n',
)
of_config(
    'evaluation', 'set False', 'test_dataloader = dict(drop_last=True)\n'
)
of_config(
    'evaluation',
    'shuffle=False',
    'test_dataloader = dict(sampler=dict(shuffle=True))\n',
)
of_config(
    'evaluation',
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
for check, cure, parts in (
    ('evaluation', 'test_mode=True', dict(mode='', extra='', end=END)),
    (
        'evaluation',
        'remove that',
        dict(mode=TEST, extra="dict(type='Flip'),", end=END),
    ),
    ('samples', 'PackActionInputs', dict(mode=TEST, extra='', end='')),
):
    of_config(check, cure, PIPELINE.format(**parts))


def checkpoint(bench, classes, change=lambda weights: None):
    path = bench.folder / 'tiny.py'
    path.write_text(bench.config)
    weights = MODELS.build(Config.fromfile(path).model).state_dict()
    change(weights)
    meta = dict(epoch=1, dataset_meta=dict(classes=classes))
    file = bench.folder / 'checkpoint.pth'
    torch.save(dict(state_dict=weights, meta=meta), file)
    bench.options['--checkpoint'] = file
    return file


@fault('checkpoint', 'FAIL', 'config that it was trained with')
def checkpoint_of_another_class_order(bench):
    checkpoint(bench, ORDER)


@fault('checkpoint', 'FAIL', 'trained with')
def checkpoint_of_another_model(bench):
    checkpoint(bench, CLASSES, lambda w: w.pop('cls_head.fc_cls.weight'))


@fault('checkpoint', 'FAIL', 'use another')
def checkpoint_cut_off(bench):
    file = checkpoint(bench, CLASSES)
    file.write_bytes(file.read_bytes()[:-1000])
