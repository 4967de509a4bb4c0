"""The doctor finds what is wrong, and nothing else."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from micacl_mm.doctor.clip_files import list_clips
from micacl_mm.doctor.command import main
from micacl_mm.doctor.registry import CHECKS
from tests.sets import (
    CLASSES,
    write_ferv,
    write_ferv_split,
    write_frames,
    write_video,
)

from .__main__ import problem
from .bench import POOLS, Bench, in_this_process
from .faults import FAULTS
from .tree import write_frame

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp('doctor'))


def by_name(findings):
    return {finding['name']: finding for finding in findings}


def test_nothing_is_wrong_with_the_healthy_set(bench):
    statuses, findings = bench.examine(lambda bench: None)
    # Versions are those of the machine on which the tests run.
    assert not {'FAIL', 'WARN'} & {
        s for found in statuses.values() for s in found
    }
    assert list(dict.fromkeys(f['name'] for f in findings)) == list(CHECKS)
    said = by_name(findings)
    assert '21 train, 7 val, 7 test clips' in said['data']['found']
    assert '10 split files' in said['counts']['found']
    assert '35 clips' in said['folds']['found']
    assert '105 in 35 clips' in said['empty files']['found']
    assert '35 of 35 clips' in said['decode']['found']
    # 4 instances of 4 frames, of 48 px and 3 bytes, 2 batches ahead for each
    # of 2 workers, 16 clips in training and 32 in validation; a label each.
    clip = 4 * 4 * 48 * 48 * 3 + 8
    mib = clip * 4 * (16 + 32) / 2**20
    assert f'take {mib:.1f} MiB' in said['shared memory']['found']
    assert f'{2 * 4 * (16 + 32)} tensors' in said['open files']['found']


@pytest.mark.parametrize('fault', FAULTS, ids=[f.name for f in FAULTS])
def test_a_fault_is_found_by_its_check_alone(bench, fault):
    assert problem(bench, fault) == ''


def test_each_check_has_a_fault():
    rest = set(CHECKS) - {fault.check for fault in FAULTS}
    # Found in tests of their own, below.
    assert rest == {'import', 'persons'}


def test_gradients_are_looked_at_on_request(bench):
    _, findings = bench.examine(lambda b: b.options.update({'--backward': ''}))
    said = [f['found'] for f in findings if f['name'] == 'forward']
    assert len(said) == 2 and said[1].startswith('backward: finite')


def test_strict_makes_a_warning_count(bench):
    def plant(bench):
        bench.machine('open_files', 256)
        bench.options['--strict'] = ''

    bench.examine(plant)
    found = json.loads(bench.json.read_text())
    assert found['exit_code'] == 1 and found['summary']['FAIL'] == 0


@pytest.mark.parametrize('count', [1, 4, 34, 35, 99])
def test_a_sample_is_as_large_as_asked_for(bench, count):
    def plant(bench):
        bench.options['--sample'] = count

    said = by_name(bench.examine(plant)[1])['decode']['found']
    assert said.startswith(f'{min(count, 35)} of 35 clips')


#: Ann is in two splits.
CLIPS = [
    *[('train', 'a/ann_1'), ('train', 'b/bob_1'), ('val', 'a/eve_1')],
    *[('val', 'b/dan_1'), ('test', 'a/ann_2'), ('test', 'b/cat_1')],
]


class TestOtherSets:
    """FERV39k, and a folder a class with videos or persons."""

    def examine(self, root, folder, base='micacl_folder', **options):
        path = folder / 'own.py'
        path.write_text(
            f'_base_ = [{str(ROOT / f"configs/{base}.py")!r}]\n'
            # The model has tests of its own.
            'model = dict(type="NoSuchModel")\n'
        )
        words = [str(word) for pair in options.items() for word in pair]
        out = folder / 'doctor.json'
        main(
            [str(path), '--data-root', str(root), '--json', str(out)]
            + ['--workers', '1', *words]
        )
        return by_name(json.loads(out.read_text())['findings'])

    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch):
        monkeypatch.setattr(os, 'environ', dict(os.environ))

    def test_person_in_train_and_test(self, tmp_path):
        root = tmp_path / 'own'
        for k, clip in enumerate([f'{split}/{clip}' for split, clip in CLIPS]):
            write_frames(root / clip, [f'{i}.jpg' for i in range(k + 1)])
        said = self.examine(
            root, tmp_path, **{'--group-pattern': '/([a-z]+)_'}
        )
        assert said['persons']['status'] == 'FAIL'
        assert 'ann stand in' in said['persons']['found']
        assert said['counts']['status'] == 'SKIP'

    def test_clip_of_ferv39k_in_train_and_test(self, tmp_path):
        clips = [f'Action/{name}/{k:04d}' for name in CLASSES for k in (1, 2)]
        write_ferv(tmp_path, clips)
        write_ferv_split(tmp_path, 'test', [clips[2], 'War/Sad/0001'])
        write_frames(tmp_path / '2_ClipsforFaceCrop/War/Sad/0001', ['1.jpg'])
        said = self.examine(tmp_path, tmp_path, 'micacl_ferv39k')
        failed = {n for n, f in said.items() if f['status'] == 'FAIL'}
        # All frames of these clips are the same few grey pictures.
        assert failed == {'model', 'counts', 'folds', 'overlap', 'duplicates'}
        found = said['folds']['found']
        assert (
            found == 'subset all: Action/Sad/0001 stand in train and in test'
        )

    def test_video_cut_off(self, tmp_path):
        root = tmp_path / 'own'
        for name in ('a/1', 'a/2', 'a/3', 'b/1', 'b/2', 'b/3'):
            write_video(
                root / f'{name}.mp4', 5 + len(list(root.rglob('*.mp4')))
            )
        path = root / 'b/2.mp4'
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        said = self.examine(root, tmp_path)
        assert said['decode']['status'] == 'FAIL'
        assert said['decode']['found'].startswith('1 file damaged in 6 of 6')
        assert '2.mp4' in said['decode']['found']
        assert said['duplicates']['status'] == 'PASS'


def stock(root, folder, lines, kind, test=None, **more):
    """What the doctor says of a data set of MMAction2 itself."""
    folder.mkdir(exist_ok=True)
    loaders = ''
    for name, listed in (('train', lines), ('test', test or lines[:1])):
        path = folder / f'{name}.txt'
        path.write_text('\n'.join(listed))
        prefix = 'video' if kind == 'VideoDataset' else 'img'
        dataset = dict(
            type=kind,
            ann_file=str(path),
            data_prefix={prefix: str(root)},
            pipeline=[],
            **more,
        )
        loaders += f'{name}_dataloader = dict(dataset={dataset})\n'
    path = folder / 'stock.py'
    path.write_text(f'model = dict(type="NoSuchModel")\n{loaders}')
    out = folder / 'doctor.json'
    main([str(path), '--json', str(out), '--workers', '1'])
    return by_name(json.loads(out.read_text())['findings'])


class TestStockSets:
    """Data sets that list what they never look at."""

    @pytest.fixture(autouse=True)
    def _one_process(self, monkeypatch):
        for place in POOLS:
            monkeypatch.setattr(place, in_this_process)

    @pytest.fixture
    def frames(self, tmp_path):
        for clip in range(3):
            (tmp_path / f'clip{clip}').mkdir()
            for frame in range(1, 4):
                name = f'clip{clip}/img_{frame:05}.jpg'
                write_frame(tmp_path / name, 3 * clip + frame)
        return tmp_path

    LINES = ('clip0 3 0', 'clip1 3 1', 'clip2 3 0')

    def test_videos_absent(self, tmp_path):
        for k in range(6):
            write_video(tmp_path / f'{k}.mp4', 5 + k)
        lines = [f'{k}.mp4 {k % 2}' for k in range(12)]
        said = stock(tmp_path, tmp_path / 'of', lines, 'VideoDataset')
        assert said['missing clips']['status'] == 'FAIL'
        found = said['missing clips']['found']
        assert '6 of 12 clips' in found and '6.mp4' in found
        assert said['decode']['found'].startswith('6 of 12 clips')
        whole = stock(tmp_path, tmp_path / 'of', lines[:6], 'VideoDataset')
        assert whole['missing clips']['status'] == 'PASS'
        assert whole['decode']['found'].startswith('6 of 6 clips')
        none = stock(tmp_path, tmp_path / 'of', lines[6:], 'VideoDataset')
        assert '6 of 6 clips' in none['missing clips']['found']
        assert none['decode']['status'] == 'SKIP'

    def test_frame_folders_and_frames_absent(self, frames):
        lines = [*self.LINES, 'gone 3 1', 'empty 0 1']
        (frames / 'empty').mkdir()
        (frames / 'clip1/img_00002.jpg').unlink()
        said = stock(frames, frames / 'of', lines, 'RawframeDataset')
        missing = said['missing clips']
        assert missing['status'] == 'FAIL'  # the last of two
        assert missing['found'].startswith('1 frame of 1 clip not there')
        assert 'clip1/img_00002.jpg' in missing['found']
        assert said['decode']['found'].startswith('3 of 5 clips')
        assert '8 in 3 clips' in said['empty files']['found']

    def test_other_files_beside_the_frames(self, frames):
        for name in ('.DS_Store', 'Thumbs.db', '.gitkeep', 'notes.txt'):
            (frames / 'clip0' / name).write_bytes(b'')
        for frame in range(1, 4):
            for axis in 'xy':
                name = f'clip0/flow_{axis}_{frame:05}.jpg'
                write_frame(frames / name, 99, (8, 8), 'L')
        for more, number in (
            ({}, 9),
            (
                dict(modality='Flow', filename_tmpl='flow_{}_{:05}.jpg'),
                6,
            ),
        ):
            lines = self.LINES[: 1 if more else 3]
            said = stock(
                frames, frames / 'of', lines, 'RawframeDataset', **more
            )
            for name in ('missing clips', 'empty files', 'decode'):
                assert said[name]['status'] == 'PASS', said[name]
            assert said['frame sizes']['status'] == 'PASS'
            assert f'of {number} in' in said['empty files']['found']

    def test_parts_of_one_folder(self, frames):
        lines = ['clip0 0 2 0', 'clip0 2 1 1', 'clip0 2 2 1']
        said = stock(
            frames, frames / 'of', lines, 'RawframeDataset', with_offset=True
        )
        assert 'clip0/img_00004.jpg' in said['missing clips']['found']
        assert '3 in 1 clips' in said['empty files']['found']


def test_clips_that_need_no_file_are_not_missed(tmp_path):
    class Clips(list):
        def get_data_info(self, index):
            return self[index]

    clips = Clips(
        [
            dict(frame_dir='v_1', keypoint=0, total_frames=9),
            dict(filename='s3://bucket/a.mp4'),
            dict(frame_dir=str(tmp_path / 'a'), frames=['1.jpg'], pack=0),
            dict(audio_path='a.wav'),
        ]
    )
    assert list_clips([('train', clips)]) == ([], {})
    clips.append(dict(filename=str(tmp_path / 'b.mp4')))
    assert list_clips([('val', clips)])[1] == {clips[-1]['filename']: 'val'}


def test_frames_that_only_a_template_describes(tmp_path):
    """As in AVA, whose clips are given in seconds."""
    for name in ('img_00001.jpg', 'img_00002.jpg', 'Thumbs.db', '.DS_Store'):
        (tmp_path / name).write_text('x')
    info = dict(frame_dir=str(tmp_path), filename_tmpl='img_{:05}.jpg')

    class Clips(list):
        def get_data_info(self, index):
            return self[index]

    (clip,), _ = list_clips([('train', Clips([info]))])
    assert clip.names == ('img_00001.jpg', 'img_00002.jpg')


def test_a_backbone_of_another_library_is_no_classifier():
    model = torch.nn.ModuleDict(
        {name: torch.nn.Linear(1, 1) for name in ('backbone', 'cls_head')}
    )
    model['backbone'].num_classes = 0  # as timm has it
    model['cls_head'].num_classes = 2
    data = SimpleNamespace(metainfo=dict(classes=('a', 'b')))
    case = SimpleNamespace(
        model=model, config={}, built=lambda: iter([('train', data)])
    )
    (finding,) = CHECKS['classes'].look(case)
    assert finding.status == 'PASS'
    model['cls_head'].num_classes = 3
    (finding,) = CHECKS['classes'].look(case)
    assert finding.status == 'FAIL' and 'cls_head' in finding.found
