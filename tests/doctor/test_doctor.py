"""The doctor finds what is wrong, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from itertools import product
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from PIL import Image

from micacl_mm import cli
from micacl_mm.cli.doctor import main
from micacl_mm.doctor import clips as doctor_clips
from micacl_mm.doctor import install, splits, training
from micacl_mm.doctor import machine as doctor_machine
from micacl_mm.doctor.clips import (
    Clip,
    decode_clip,
    decode_clips,
    find_copies,
    list_clips,
)
from micacl_mm.doctor.core import Finding, load_checks
from micacl_mm.errors import DataError
from micacl_mm.registry import MODELS, TRANSFORMS
from tests.sets import (
    CLASSES,
    write_dfew_split,
    write_ferv,
    write_ferv_split,
    write_frames,
    write_video,
)

from .bench import (
    GIB,
    Bench,
    clip_dir,
    diagnose,
    frame_path,
    rows_of,
    write_frame,
)

ROOT = Path(__file__).parents[2]
CHECKS = [check.name for check in load_checks(whole=True)]


@pytest.fixture(scope='module')
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp('doctor'))


def by_name(findings):
    return {finding['name']: finding for finding in findings}


def test_nothing_is_wrong_with_the_healthy_set(bench):
    said = by_name(bench.healthy)
    assert list(said) == CHECKS
    assert {f['status'] for f in bench.healthy} <= {'PASS', 'SKIP'}, said
    assert '21 train, 7 val, 7 test clips' in said['data']['found']
    assert (
        '10 lists of DFEWDataset, as published' in said['split files']['found']
    )
    assert '35 clips' in said['folds']['found']
    assert '105 files of 35 clips' in said['files']['found']
    assert '35 of 35 clips' in said['decode']['found']
    # 4 instances of 4 frames, of 48 px and 3 bytes, 2 batches ahead for each
    # of 2 workers, 16 clips in training and 32 in validation.
    mib = 4 * 4 * 48 * 48 * 3 * 4 * (16 + 32) / 2**20
    assert f'take {mib:.1f} MiB' in said['shared memory']['found']


# ---- planted faults: check -> status and words of its line, several by |

SCENES = []


def scene(plant=None, **expected):
    """Faults to be found by these checks, and by no others."""
    if plant is None:
        return lambda plant: scene(plant, **expected)
    expected = {k.replace('_', ' '): v for k, v in expected.items()}
    SCENES.append(pytest.param(plant, expected, id=plant.__name__))
    return plant


def config_scene(lines, **expected):
    """Faults that are some lines of the config."""

    def plant(bench):
        bench.config += lines

    plant.__name__ = lines[:40]
    scene(plant, **expected)


def wrong(bench, plant, expected):
    """What the doctor says besides what it should."""
    findings = bench.examine(plant)
    found, healthy = {}, {}
    for table, source in ((found, findings), (healthy, bench.healthy)):
        for f in source:
            if not f['found'].startswith('needs '):
                table.setdefault(f['name'], set()).add(f['status'])
    changed = {n for n in found if found[n] != healthy[n]}
    for name, words in expected.items():
        status, _, words = words.partition(' ')
        text = ' '.join(
            f'{f["found"]} {f["cure"]}'
            for f in findings
            if (f['name'], f['status']) == (name, status)
        )
        for word in words.split('|'):
            if word not in text or not text:
                yield f'no {status} {name} with {word!r} in {text!r}'
    for name in changed ^ set(expected):
        yield name, [f['found'] for f in findings if f['name'] == name]


@scene(
    shared_memory='WARN --shm-size',
    gpu='WARN CUDA build',
    known_problems='WARN numpy>=1.26,<2|torch<=2.13|opencv-contrib-python==4',
)
def small_machine(bench):
    bench.shm = (64 * 2**20, 64 * 2**20)
    bench.patch.setattr(doctor_machine, 'driver_gpus', lambda: ['H100'])
    bench.versions(
        numpy='2.4.0', torch='2.14.0', opencv_contrib_python='5.0.0.1'
    )


@scene(
    shared_memory='FAIL --shm-size',
    work_folder='FAIL free some space',
    gpu='FAIL update the driver',
    known_problems='WARN torch>=2.10',
)
def full_machine(bench):
    bench.shm, bench.disk = (GIB, 2**20), (GIB, 1000)
    bench.patch.setattr(doctor_machine, 'driver_gpus', lambda: ['H100'])
    bench.patch.setattr(torch.version, 'cuda', '12.6')
    bench.versions(torch='2.9.1')


@scene(
    gpu='WARN unset CUDA_VISIBLE_DEVICES',
    work_folder='FAIL --work-dir',
    versions='FAIL pip uninstall -y mmcv mmcv-lite',
    overlap='FAIL report this line',
)
def odd_machine(bench):
    def look(case):
        raise ZeroDivisionError('nothing to divide by')
        yield

    def version(name):
        return '2.1.0' if name in ('mmcv', 'mmcv-lite') else there(name)

    there = metadata.version
    bench.patch.setattr(doctor_machine, 'driver_gpus', lambda: ['H100'])
    bench.patch.setenv('CUDA_VISIBLE_DEVICES', '')
    bench.patch.setattr(metadata, 'version', version)
    bench.patch.setattr(splits.overlap, 'look', look)
    path = bench.folder / 'file'
    path.write_text('')
    bench.options['--work-dir'] = path / 'below'


@scene(data='FAIL --missing drop')
def clip_absent(bench):
    shutil.rmtree(clip_dir(bench.spoil(), 10))


@scene(data='WARN 00010|unpack', consistency='WARN UAR covers only')
def only_test_clip_of_a_class_dropped(bench):
    shutil.rmtree(clip_dir(bench.spoil(), 10))
    bench.options['--missing'] = 'drop'


@scene(data='FAIL --data-root')
def root_absent(bench):
    bench.root = bench.folder / 'nowhere'


@scene(files='WARN clip_224x224/000011|remove the folder')
def clip_in_two_folders(bench):
    folder = clip_dir(bench.spoil(), 11)
    shutil.copytree(folder, folder.with_name('000011'))


@scene(data='WARN 00011 (thumb.jpg)|00012 (00010_00000.jpg)|remove')
def frames_of_another_clip_or_of_none(bench):
    root = bench.spoil()
    write_frame(clip_dir(root, 11) / 'thumb.jpg')
    shutil.copy(frame_path(root, 10), clip_dir(root, 12))


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@scene(
    files='FAIL unpack these clips again|00010_00001.jpg',
    decode="FAIL 6 bad files|bad_data='resample'",
)
def damaged_frames(bench):
    root = bench.spoil()
    paths = [frame_path(root, clip, 1) for clip in range(10, 16)]
    paths[0].write_bytes(b'')
    cut(paths[1])
    paths[2].write_text('<html>404</html>')
    write_frame(paths[3], size=(50, 40))
    for path, form in zip(paths[4:], ('GIF', 'PCX'), strict=True):
        Image.open(path).convert('P').save(path, form)


@scene(decode='WARN unpack these clips again')
def damaged_frame_that_is_omitted(bench):
    cut(frame_path(bench.spoil(), 10, 1))
    bench.config += """
custom_hooks = [
    dict(type='ClassCountsHook'),
    dict(type='SafeDataHook', bad_data='resample')]
"""


def copy_clip(root, source, target):
    for frame in range(3):
        shutil.copy(
            frame_path(root, source, frame), frame_path(root, target, frame)
        )


@scene(
    content='WARN 4 unusual clips|look at these',
    duplicates='FAIL 00002 = 00007|00005 = 00011|which name is right',
)
def odd_and_equal_clips(bench):
    root = bench.spoil()
    for k in range(3):
        Image.new('RGB', (40, 40)).save(frame_path(root, 10, k))
        write_frame(frame_path(root, 12, k), 99)
        write_frame(frame_path(root, 13, k), 99 + k, (10, 10))
        write_frame(frame_path(root, 14, k), 99 + k, mode='L')
    copy_clip(root, 2, 7)  # with two labels, both tested in fold 3
    copy_clip(root, 5, 11)  # in test and in train


def rewrite(bench, fold, split, change):
    rows = change(rows_of(fold, split))
    write_dfew_split(bench.spoil(), split, rows, fold)


@scene(split_files='FAIL restore the split file|label must be|listed once')
def split_files_of_other_folds_damaged(bench):
    rewrite(bench, 3, 'train', lambda rows: [(rows[0][0], 9), *rows[1:]])
    rewrite(bench, 4, 'test', lambda rows: [*rows, rows[0]])


@scene(split_files='WARN unpack the split files|fold 2, test')
def split_file_absent(bench):
    folder = bench.spoil() / 'EmoLabel_DataSplit'
    (folder / 'test(single-labeled)/set_2.csv').unlink()


@scene(folds='FAIL in train and in test|another label|restore the split file')
def folds_that_disagree(bench):
    spy = rows_of(4, 'test')[0]

    def exchange(rows):
        place = next(i for i, row in enumerate(rows) if row[1] == spy[1])
        return [*rows[:place], spy, *rows[place + 1 :]]

    def swap(rows):
        (one, a), (other, b), *rest = rows
        return [(one, b), (other, a), *rest]

    rewrite(bench, 4, 'train', exchange)
    rewrite(bench, 2, 'train', swap)


@scene(
    split_files='FAIL instead of',
    folds='FAIL are missing|not in exactly one test',
)
def row_lost_in_one_fold(bench):
    rewrite(bench, 5, 'test', lambda rows: rows[1:])


@scene(split_files='FAIL instead of|restore the split file')
def clip_lost_in_all_folds(bench):
    def without_the_eighth(rows):
        return [row for row in rows if row[0] != 8]

    for fold, split in product(range(1, 6), ('train', 'test')):
        rewrite(bench, fold, split, without_the_eighth)


@scene(overlap='WARN --val-ratio')
def checkpoint_selected_on_test(bench):
    bench.options['--val-ratio'] = '0'


INNER = 'train_dataloader = dict(batch_size=16, dataset=dict(val_ratio=0))\n'
config_scene(INNER, overlap='FAIL val_ratio')
config_scene(
    'test_dataloader = dict(dataset=dict(fold=2))\n',
    overlap='FAIL same fold|in train and test',
)


def set_model(path, value):
    place = ''.join(f'[{key!r}]' for key in path.split('.'))
    return f'model{place} = {value!r}\n'


config_scene(
    set_model('cls_head.num_classes', 6)
    + set_model('neck.aux_loss.num_classes', 8),
    consistency='FAIL cls_head|neck.aux_loss|set num_classes=7',
)
config_scene('model = (\n', config='FAIL correct')
config_scene('__import__("sys").exit(3)\n', config='FAIL correct')
config_scene('test_dataloader = None\n', config='FAIL complete config')
config_scene(set_model('neck.type', 'NoNeck'), model='FAIL correct the model')
config_scene('custom_hooks = []\n', training_step='FAIL ClassCountsHook')
config_scene(
    set_model(
        'cls_head.loss_cls',
        dict(_delete_=True, type='CrossEntropyLoss', loss_weight=1e40),
    ),
    training_step='FAIL temperature',
)
config_scene(
    set_model('cls_head.in_channels', 15),
    training_step='FAIL in_channels=16',
    prediction='FAIL in_channels=16',
)
config_scene(
    set_model('cls_head.average_clips', None),
    prediction='FAIL average_clips',
)
config_scene(
    'train_dataloader = dict(batch_size=64, drop_last=True)\n',
    consistency='FAIL 21 clips|one batch of 64|such as 10',
)
END = "dict(type='PackActionInputs')"
PIPELINE = """
test_dataloader = dict(batch_size=4, drop_last=True,
    sampler=dict(shuffle=True), dataset=dict(pipeline=[
    dict(type='SampleInstances', num_frames=16, instance_len=4{mode}),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(48, 48), keep_ratio=False),{extra}
    dict(type='FormatShape', input_format='NCTHW'),{end}
]))
val_dataloader = dict(sampler=dict(_delete_=True, type='ClassBalancedSampler'))
"""
config_scene(
    PIPELINE.format(
        mode='',
        extra="dict(type='Flip'),",
        end="dict(type='PackActionInputs')",
    ),
    consistency='FAIL set False|shuffle=False|SampleInstances and Flip|'
    'test_mode=True|val_dataloader shuffles',
)
config_scene(
    PIPELINE.format(mode=', test_mode=True', extra='', end=''),
    consistency='FAIL set False',
    samples='FAIL PackActionInputs',
)
ORDER = ['Angry', 'Disgust', 'Fear', 'Happy', 'Sad', 'Surprise', 'Neutral']
config_scene(
    f'test_dataloader = dict(dataset=dict(metainfo=dict(classes={ORDER})))\n',
    consistency='FAIL names and order',
)


def checkpoint(bench, classes=CLASSES, change=lambda weights: None):
    path = bench.folder / 'tiny.py'
    path.write_text(bench.config)
    weights = MODELS.build(Config.fromfile(path).model).state_dict()
    change(weights)
    meta = dict(epoch=1, dataset_meta=dict(classes=classes))
    file = bench.folder / 'checkpoint.pth'
    torch.save(dict(state_dict=weights, meta=meta), file)
    bench.options['--checkpoint'] = file
    return file


@scene(checkpoint='FAIL config that it was trained with')
def checkpoint_of_another_class_order(bench):
    checkpoint(bench, ORDER)


@scene(checkpoint='FAIL cls_head.fc_cls.weight|trained with')
def checkpoint_of_another_model(bench):
    checkpoint(bench, change=lambda w: w.pop('cls_head.fc_cls.weight'))


@scene(checkpoint='FAIL cannot be read|use another file')
def checkpoint_cut_off(bench):
    cut(checkpoint(bench))


@scene(checkpoint='PASS epoch 1')
def checkpoint_that_fits(bench):
    checkpoint(bench)


@pytest.mark.parametrize(('plant', 'expected'), SCENES)
def test_faults_are_found_by_their_checks_alone(bench, plant, expected):
    assert [*wrong(bench, plant, expected)] == []


def test_each_check_has_a_fault():
    tried = {name for scene in SCENES for name in scene.values[1]}
    assert set(CHECKS) - tried == {'import'}


@pytest.mark.skipif(not hasattr(os, 'geteuid'), reason='needs POSIX')
def test_files_that_may_not_be_read(bench):
    """Named with their fix, and the other checks go on."""

    def plant(bench):
        root = bench.spoil()
        real = open

        def refuse(path, *args, **kwargs):
            if str(path) in (str(frame), str(rows)):
                raise PermissionError(13, 'Permission denied', str(path))
            return real(path, *args, **kwargs)

        frame = frame_path(root, 10, 1)
        folder = root / 'EmoLabel_DataSplit/train(single-labeled)'
        rows = folder / 'set_3.csv'
        bench.patch.setattr('builtins.open', refuse)

    said = by_name(bench.examine(plant))
    assert not any('could not finish' in f['found'] for f in said.values())
    assert 'Permission denied' in said['split files']['found']
    assert 'set_3.csv' in said['split files']['cure']
    assert said['decode']['status'] == 'FAIL'


@pytest.mark.usefixtures('alone')
class TestOtherSets:
    """FERV39k, videos by class, and stock datasets."""

    def run(self, folder, text, *options):
        # The model has tests of its own.
        text += '\nmodel = dict(type="NoSuchModel")\n'
        return by_name(diagnose(folder, text, *options))

    def base(self, name, root, *options):
        text = f'_base_ = [{str(ROOT / f"configs/{name}.py")!r}]'
        return self.run(root.parent, text, '--data-root', root, *options)

    def stock(self, root, lines, kind, **more):
        """What the doctor says of a dataset of MMAction2 itself."""
        path = root / 'list.txt'
        path.write_text('\n'.join(lines))
        prefix = 'video' if kind == 'VideoDataset' else 'img'
        dataset = dict(
            type=kind,
            ann_file=str(path),
            data_prefix={prefix: str(root)},
            pipeline=[dict(type='RawFrameDecode')],
            **more,
        )
        if kind == 'VideoDataset':
            dataset['pipeline'] = [
                dict(type='DecordInit'),
                dict(type='SampleFrames', clip_len=1),
                dict(type='DecordDecode'),
            ]
        loader = dict(
            dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=False)
        )
        return self.run(
            root, f'train_dataloader = test_dataloader = {loader}\n'
        )

    def test_clip_of_ferv39k_in_train_and_test(self, tmp_path):
        clips = [f'Action/{name}/{k:04d}' for name in CLASSES for k in (1, 2)]
        write_ferv(tmp_path, clips)
        write_ferv_split(tmp_path, 'test', [clips[2], 'War/Sad/0001'])
        write_frames(tmp_path / '2_ClipsforFaceCrop/War/Sad/0001', ['1.jpg'])
        batch = ['--cfg-options', 'train_dataloader.batch_size=2']
        said = self.base('micacl_ferv39k', tmp_path, *batch)
        failed = {n for n, f in said.items() if f['status'] == 'FAIL'}
        # All frames of these clips are the same few grey pictures.
        assert failed == {
            *('model', 'split files', 'folds', 'overlap', 'duplicates')
        }
        found = said['folds']['found']
        assert found == 'subset all: Action/Sad/0001 are in train and in test'

    def test_videos(self, tmp_path):
        """One is cut off, and some are of a kind that nobody reads."""
        root = tmp_path / 'own'
        for k, name in enumerate(('a/1', 'a/2', 'a/3', 'b/1', 'b/2', 'b/3')):
            write_video(root / f'{name}.mp4', 5 + k)
        cut(root / 'b/2.mp4')
        (root / 'b/4.gif').write_bytes(b'GIF')
        said = self.base('micacl_folder', root, '--source', 'auto')
        assert said['data']['status'] == 'WARN'
        assert '1 .gif' in said['data']['found']
        assert said['decode']['status'] == 'FAIL'
        assert said['decode']['found'].startswith('1 bad file in 6 of 6')
        assert '2.mp4' in said['decode']['found']
        assert said['duplicates']['status'] == 'PASS'

    def test_listed_videos_that_are_absent(self, tmp_path):
        pytest.importorskip('decord')
        for k in range(6):
            write_video(tmp_path / f'{k}.mp4', 5 + k)
        lines = [f'{k}.mp4 {k % 2}' for k in range(12)]
        said = self.stock(tmp_path, lines, 'VideoDataset')
        assert said['files']['status'] == 'FAIL'
        found = said['files']['found']
        assert '6 of 12 listed clips' in found and '6.mp4' in found
        assert said['decode']['found'].startswith('6 of 6 clips')
        none = self.stock(tmp_path, lines[6:], 'VideoDataset')
        assert none['decode']['status'] == 'SKIP'

    def test_listed_frames_that_are_absent(self, tmp_path):
        for clip in range(3):
            (tmp_path / f'clip{clip}').mkdir()
            for frame in range(1, 4):
                name = f'clip{clip}/img_{frame:05}.jpg'
                write_frame(tmp_path / name, 3 * clip + frame)
        for name in ('.DS_Store', 'Thumbs.db', 'notes.txt'):  # no frames
            (tmp_path / 'clip0' / name).write_bytes(b'')
        lines = ['clip0 3 0', 'clip1 3 1', 'clip2 3 0']
        said = self.stock(tmp_path, lines, 'RawframeDataset')
        assert '9 files of 3 clips' in said['files']['found']
        assert said['decode']['status'] == 'PASS', said['decode']
        (tmp_path / 'clip1/img_00002.jpg').unlink()
        said = self.stock(tmp_path, [*lines, 'gone 3 1'], 'RawframeDataset')
        found = said['files']['found']  # of two findings the last one
        assert found.startswith('1 listed frame not there')
        assert 'clip1/img_00002.jpg' in found
        assert said['decode']['status'] == 'FAIL'
        parts = ['clip0 0 2 0', 'clip0 2 1 1', 'clip0 2 2 1']
        said = self.stock(tmp_path, parts, 'RawframeDataset', with_offset=True)
        assert 'clip0/img_00004.jpg' in said['files']['found']


class Listed(list):
    """A dataset of clips, with a pipeline."""

    def __init__(self, infos, *steps):
        super().__init__(infos)
        steps = [TRANSFORMS.build(dict(type=step)) for step in steps]
        self.pipeline = Compose(steps)

    def get_data_info(self, index):
        return dict(self[index])


class TestClips:
    def listed(self, root, clips, size):
        """Folders of three frames, read by FaceFrameDecode."""
        for clip in range(clips):
            clip_dir(root, clip).mkdir(parents=True)
            for k in range(3):
                write_frame(frame_path(root, clip, k), 3 * clip + k, size)
        infos = [
            dict(
                frame_dir=str(path),
                filename_tmpl=f'{path.name}_{{:05d}}.jpg',
                total_frames=3,
                start_index=0,
            )
            for path in sorted(clip_dir(root, 0).parent.iterdir())
        ]
        data = Listed(infos, 'FaceFrameDecode')
        found = list_clips([('train', data), ('test', data)])
        assert {clip.loader for clip in found} == {'train'}
        return found

    def test_a_process_that_dies_is_of_one_clip(self, tmp_path, monkeypatch):
        clips = self.listed(tmp_path, 5, (96, 96))
        bad = clips[2].path

        def work(clip):
            return os._exit(1) if clip.path == bad else decode_clip(clip)

        monkeypatch.setattr(doctor_clips, 'decode_clip', work)
        reports = decode_clips(clips, 2)
        damaged = {r.path: r.damaged for r in reports if r.damaged}
        assert damaged == {bad: {bad: 'makes the decoder crash'}}
        assert len(reports) == len(clips)

    def test_a_jpeg_with_lost_bytes(self, tmp_path):
        """Only the strict decoder of FaceFrameDecode sees it."""
        pytest.importorskip('simplejpeg')
        (clip,) = self.listed(tmp_path, 1, (224, 224))
        path = frame_path(tmp_path, 0, 1)
        whole, seen = path.read_bytes(), 0
        for start in range(2000, len(whole) - 6000, 2000):
            data = bytearray(whole)
            data[start : start + 4096] = bytes(4096)
            path.write_bytes(data)
            damaged = decode_clip(clip).damaged
            seen += any(path.name in file for file in damaged)
        assert seen >= 0.85 * len(range(2000, len(whole) - 6000, 2000))

    def test_clips_that_need_no_file_are_not_missed(self, tmp_path):
        infos = [
            dict(frame_dir='v_1', keypoint=0, total_frames=9),
            dict(filename='s3://bucket/a.mp4'),
            dict(frame_dir=str(tmp_path / 'a'), frames=['1.jpg'], pack=0),
            dict(audio_path='a.wav'),
        ]
        assert list_clips([('train', Listed(infos))]) == []
        infos.append(dict(filename=str(tmp_path / 'b.mp4')))
        (clip,) = list_clips([('val', Listed(infos))])
        assert clip.sizes == (-1,) and clip.path == infos[-1]['filename']

    @pytest.mark.parametrize(
        ('name', 'frames', 'is_copy'),
        [
            ('whole', 'abcdefghij', True),
            ('first lost', 'bcdefghij', True),
            ('one lost', 'abcdfghij', True),
            ('cut off', 'abcdef', True),
            ('one more', 'abcdefghijk', True),
            ('same start', 'aaaabklmnopq', False),
            ('same sizes', 'ABCDEFGHIJ', False),
            ('other', 'klmnopqrst', False),
        ],
    )
    def test_copies_that_lost_a_frame(self, tmp_path, name, frames, is_copy):
        found = []
        for folder, names in (('one', 'abcdefghij'), (name, frames)):
            (tmp_path / folder).mkdir()
            paths = []
            for k, letter in enumerate(names):
                paths.append(tmp_path / folder / f'{k}.jpg')
                # As many bytes for a capital as for its letter.
                size = ord(letter.lower())
                paths[-1].write_bytes(letter.encode() * size)
            files = tuple(map(str, paths))
            sizes = tuple(path.stat().st_size for path in paths)
            path = str(tmp_path / folder)
            found.append(Clip(path, folder, 0, 'train', None, 0, files, sizes))
        groups = find_copies(found)
        assert groups == ([found] if is_copy else [])


class TestUsage:
    @pytest.mark.parametrize(
        'words', ['--nonsense', 'gone.py', '--decode some']
    )
    def test_wrong_usage(self, words, capsys):
        try:
            code = cli.main(['doctor', *words.split()])
        except SystemExit as error:
            code = error.code
        said = capsys.readouterr()
        assert code == 2 and not said.out and said.err

    def test_json_that_cannot_be_written(self, tmp_path, capsys):
        (tmp_path / 'file').touch()
        path = str(tmp_path / 'file' / 'doctor.json')
        assert cli.main(['doctor', '--json', path]) == 2
        assert 'doctor.json' in capsys.readouterr().err

    def test_the_machine_alone(self, tmp_path, monkeypatch):
        versions = {'torch': '2.99'}
        monkeypatch.setattr(install, 'version_of', versions.get)
        out = tmp_path / 'doctor.json'
        assert main(['--json', str(out)]) == 0
        whole = json.loads(out.read_text())
        assert whole['exit_code'] == 0 and whole['summary']['WARN']
        names = list(by_name(whole['findings']))
        checks = load_checks(whole=True)
        assert names == [check.name for check in checks if not check.needs]
        for finding in whole['findings']:
            bad = finding['status'] in ('WARN', 'FAIL')
            assert bool(finding['cure']) is bad, finding

    def test_why_the_package_cannot_be_imported(self, tmp_path):
        (tmp_path / 'torch.py').write_text('raise OSError("no libcudart")')
        done = subprocess.run(
            [sys.executable, '-m', 'micacl_mm', 'doctor', '--data-root', 'x'],
            capture_output=True,
            text=True,
            env={**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}'},
        )
        assert done.returncode == 1
        assert 'FAIL import: micacl_mm fails: ' in done.stdout
        assert 'no libcudart' in done.stdout
        assert 'PASS versions' in done.stdout
        assert 'Traceback' not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ('loss_of', 'found'),
    [
        (
            lambda m: m['a'](torch.ones(1, 2)),
            [('WARN', 'no gradient reaches b.weight')],
        ),
        (
            lambda m: m['a'](torch.ones(1, 2)) + torch.inf * m['b'].weight,
            [('FAIL', 'the gradient of b.weight is not finite')],
        ),
        (lambda m: m['a'].weight + m['b'].weight, []),
    ],
)
def test_gradients(loss_of, found):
    model = torch.nn.ModuleDict(
        {name: torch.nn.Linear(2, 1, bias=False) for name in 'ab'}
    )
    loss_of(model).mean().backward()
    findings = training.check_gradients(model)
    assert [finding[:2] for finding in findings] == found


@pytest.mark.parametrize(
    ('error', 'found', 'cure'),
    [
        (DataError('A: bad, got 1', 'repair'), 'A: bad, got 1', 'repair'),
        (ValueError('one; two'), 'one; two', 'other'),
        (KeyError('x'), "KeyError: 'x'", 'other'),
    ],
)
def test_errors_are_findings(error, found, cure):
    finding = Finding.blamed(error, 'other')
    assert (finding.found, finding.cure) == (found, cure)
