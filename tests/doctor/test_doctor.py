"""The doctor finds what is wrong, and nothing else."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import Compose

from micacl_mm.doctor import clips as doctor_clips
from micacl_mm.doctor import training
from micacl_mm.doctor.clips import decode_clip, decode_clips, list_clips
from micacl_mm.doctor.command import load, main
from micacl_mm.doctor.core import CHECKS, blamed
from micacl_mm.errors import DataError
from micacl_mm.registry import TRANSFORMS
from tests.sets import (
    CLASSES,
    write_ferv,
    write_ferv_split,
    write_frames,
    write_video,
)

from .bench import Bench, clip_dir, frame_path, in_this_process, write_frame
from .faults import FAULTS

ROOT = Path(__file__).parents[2]
load(whole=True)


@pytest.fixture(scope='module')
def bench(tmp_path_factory):
    return Bench(tmp_path_factory.mktemp('doctor'))


def by_name(findings):
    return {finding['name']: finding for finding in findings}


def test_nothing_is_wrong_with_the_healthy_set(bench):
    assert not {'FAIL', 'WARN'} & {f['status'] for f in bench.said}, bench.said
    assert list(dict.fromkeys(f['name'] for f in bench.said)) == list(CHECKS)
    said = by_name(bench.said)
    assert '21 train, 7 val, 7 test clips' in said['data']['found']
    assert '10 split files' in said['counts']['found']
    assert '35 clips' in said['folds']['found']
    assert '105 files of 35 clips' in said['missing clips']['found']
    assert '35 of 35 clips' in said['decode']['found']
    # 4 instances of 4 frames, of 48 px and 3 bytes, 2 batches ahead for each
    # of 2 workers, 16 clips in training and 32 in validation.
    mib = 4 * 4 * 48 * 48 * 3 * 4 * (16 + 32) / 2**20
    assert f'take {mib:.1f} MiB' in said['shared memory']['found']


@pytest.mark.parametrize('fault', FAULTS, ids=[f.name for f in FAULTS])
def test_a_fault_is_found_by_its_check_alone(bench, fault):
    assert bench.problem(fault) == ''


def test_each_check_has_a_fault():
    assert set(CHECKS) - {fault.check for fault in FAULTS} == {'import'}


def test_gradients_are_checked_on_request(bench):
    _, findings = bench.examine(lambda b: b.options.update({'--backward': ''}))
    said = [f['found'] for f in findings if f['name'] == 'forward']
    assert len(said) == 2 and said[1].startswith('backward: finite')


def test_strict_makes_a_warning_count(bench):
    def plant(bench):
        bench.machine('omp_threads', '64')
        bench.options['--strict'] = ''

    bench.examine(plant)
    found = json.loads(bench.json.read_text())
    assert found['exit_code'] == 1 and found['summary']['FAIL'] == 0


@pytest.mark.parametrize('count', [1, 34, 99])
def test_a_sample_is_as_large_as_asked_for(bench, count):
    def plant(bench):
        bench.options['--sample'] = count

    said = by_name(bench.examine(plant)[1])['decode']['found']
    assert said.startswith(f'{min(count, 35)} of 35 clips')


class TestOtherSets:
    """FERV39k, videos by class, and stock datasets."""

    @pytest.fixture(autouse=True)
    def _alone(self, monkeypatch):
        monkeypatch.setattr(os, 'environ', dict(os.environ))
        monkeypatch.setattr(doctor_clips, 'run_all', in_this_process)

    def examine(self, root, folder, base='micacl_folder', **options):
        # The model has tests of its own.
        text = (
            f'_base_ = [{str(ROOT / f"configs/{base}.py")!r}]\n'
            'model = dict(type="NoSuchModel")\n'
        )
        options = ['--data-root', str(root), '--source', 'auto', *options]
        if base != 'micacl_folder':
            batch = 'train_dataloader.batch_size=2'
            options = [*options[:2], '--cfg-options', batch]
        return self.run(folder, text, *options)

    def run(self, folder, text, *options):
        path, out = folder / 'own.py', folder / 'doctor.json'
        path.write_text(text)
        main([str(path), '--json', str(out), *options])
        return by_name(json.loads(out.read_text())['findings'])

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
        text = ''.join(
            f'{name}_dataloader = dict(dataset={dataset})\n'
            for name in ('train', 'test')
        )
        return self.run(root, f'model = dict(type="NoSuchModel")\n{text}')

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
        assert found == 'subset all: Action/Sad/0001 are in train and in test'

    def test_video_cut_off(self, tmp_path):
        root = tmp_path / 'own'
        for k, name in enumerate(('a/1', 'a/2', 'a/3', 'b/1', 'b/2', 'b/3')):
            write_video(root / f'{name}.mp4', 5 + k)
        path = root / 'b/2.mp4'
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        said = self.examine(root, tmp_path)
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
        assert said['missing clips']['status'] == 'FAIL'
        found = said['missing clips']['found']
        assert '6 of 12 listed clips' in found and '6.mp4' in found
        assert said['decode']['found'].startswith('6 of 12 clips')
        whole = self.stock(tmp_path, lines[:6], 'VideoDataset')
        assert whole['missing clips']['status'] == 'PASS'
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
        assert '9 files of 3 clips' in said['missing clips']['found']
        assert said['decode']['status'] == 'PASS', said['decode']
        (tmp_path / 'clip1/img_00002.jpg').unlink()
        said = self.stock(tmp_path, [*lines, 'gone 3 1'], 'RawframeDataset')
        # Of two findings the last one.
        found = said['missing clips']['found']
        assert found.startswith('1 listed frame not there')
        assert 'clip1/img_00002.jpg' in found
        assert said['decode']['status'] == 'FAIL'
        parts = ['clip0 0 2 0', 'clip0 2 1 1', 'clip0 2 2 1']
        said = self.stock(tmp_path, parts, 'RawframeDataset', with_offset=True)
        assert 'clip0/img_00004.jpg' in said['missing clips']['found']


class Listed(list):
    """A dataset of clips, with a pipeline."""

    def __init__(self, infos, *steps):
        super().__init__(infos)
        steps = [TRANSFORMS.build(dict(type=step)) for step in steps]
        self.pipeline = Compose(steps)

    def get_data_info(self, index):
        return dict(self[index])


class TestDecoding:
    @pytest.fixture(scope='class')
    def root(self, tmp_path_factory):
        root = tmp_path_factory.mktemp('clips')
        for clip in range(5):
            clip_dir(root, clip).mkdir(parents=True)
            for frame in range(3):
                path = frame_path(root, clip, frame)
                write_frame(path, 3 * clip + frame, (96, 96))
        return root

    def listed(self, root, decoder='FaceFrameDecode'):
        infos = [
            dict(
                frame_dir=str(path),
                filename_tmpl=f'{path.name}_{{:05d}}.jpg',
                total_frames=3,
                start_index=0,
                video_id=path.name,
                label=0,
            )
            for path in sorted(clip_dir(root, 0).parent.iterdir())
        ]
        data = Listed(infos, decoder)
        found, absent = list_clips([('train', data), ('test', data)])
        assert not absent and {clip.loader for clip in found} == {'train'}
        return found

    def test_a_stopped_run_continues(self, root, tmp_path, monkeypatch):
        state, done = tmp_path / 'notes' / 'state.jsonl', []

        def work(items, work, workers, died):
            for item in items:
                if len(done) == 3:
                    raise KeyboardInterrupt
                done.append(item)
                yield work(item)

        clips = self.listed(root)
        monkeypatch.setattr(doctor_clips, 'run_all', work)
        with pytest.raises(KeyboardInterrupt):
            decode_clips(clips, 1, state)
        text = state.read_text()
        state.write_text(text[: len(text) - 20])  # killed within a line
        done.clear()
        reports = decode_clips(clips, 1, state)
        assert done == [2, 3, 4]
        assert {r.path for r in reports} == {clip.path for clip in clips}
        done.clear()
        clips[1] = replace(clips[1], changed=clips[1].changed + 1)
        assert len(decode_clips(clips, 1, state)) == 5 and done == [1]

    def test_a_process_that_dies_is_of_one_clip(self, root, monkeypatch):
        clips = self.listed(root)
        bad = clips[2].path

        def work(clip):
            return os._exit(1) if clip.path == bad else decode_clip(clip)

        monkeypatch.setattr(doctor_clips, 'decode_clip', work)
        reports = decode_clips(clips, 2)
        damaged = {r.path: r.damaged for r in reports if r.damaged}
        assert damaged == {bad: {bad: 'makes the decoder crash'}}
        assert len(reports) == len(clips)

    def test_a_jpeg_with_lost_bytes(self, root, tmp_path):
        """Only the strict decoder of FaceFrameDecode sees it."""
        pytest.importorskip('simplejpeg')
        clip_dir(tmp_path, 0).mkdir(parents=True)
        for frame in range(3):
            write_frame(frame_path(tmp_path, 0, frame), frame, (224, 224))
        path = frame_path(tmp_path, 0, 1)
        whole, seen = path.read_bytes(), 0
        for start in range(2000, len(whole) - 6000, 2000):
            data = bytearray(whole)
            data[start : start + 4096] = bytes(4096)
            path.write_bytes(data)
            (clip,) = self.listed(tmp_path)
            report = decode_clip(clip)
            seen += any(path.name in text for text in report.damaged.values())
        assert seen >= 0.85 * len(range(2000, len(whole) - 6000, 2000))

    def test_clips_that_need_no_file_are_not_missed(self, tmp_path):
        infos = [
            dict(frame_dir='v_1', keypoint=0, total_frames=9),
            dict(filename='s3://bucket/a.mp4'),
            dict(frame_dir=str(tmp_path / 'a'), frames=['1.jpg'], pack=0),
            dict(audio_path='a.wav'),
        ]
        assert list_clips([('train', Listed(infos))]) == ([], {})
        infos.append(dict(filename=str(tmp_path / 'b.mp4')))
        absent = list_clips([('val', Listed(infos))])[1]
        assert absent == {infos[-1]['filename']: 'val'}


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

    said = by_name(bench.examine(plant)[1])
    assert not any('could not finish' in f['found'] for f in said.values())
    assert 'Permission denied' in said['split files']['found']
    assert 'set_3.csv' in said['split files']['cure']
    assert said['decode']['status'] == 'FAIL'


class TestUsage:
    @pytest.mark.parametrize(
        'words',
        [
            ['--nonsense'],
            ['nowhere.py'],
            ['--data-root'],
            ['--workers', '0'],
            ['--decode', 'some'],
        ],
    )
    def test_wrong_usage(self, words, capsys):
        assert main(words) == 2
        assert 'error' in capsys.readouterr().err

    def test_help(self, capsys):
        assert main(['--help']) == 0
        assert '--val-ratio' in capsys.readouterr().out

    def test_json_that_cannot_be_written(self, tmp_path, capsys):
        (tmp_path / 'file').write_text('')
        path = str(tmp_path / 'file' / 'doctor.json')
        assert main(['--json', path]) == 2
        assert 'cannot be written' in capsys.readouterr().err

    def test_ctrl_c(self, monkeypatch, capsys):
        def look(case):
            raise KeyboardInterrupt

        stopped = CHECKS['gpu']._replace(look=look)
        monkeypatch.setitem(CHECKS, 'gpu', stopped)
        assert main([]) == 130
        assert 'same command continues' in capsys.readouterr().err

    def run(self, *words, **environment):
        return subprocess.run(
            [sys.executable, '-m', 'micacl_mm', 'doctor', *words],
            capture_output=True,
            text=True,
            env={**os.environ, 'PYTHONPATH': str(ROOT), **environment},
        )

    def test_the_command(self, tmp_path):
        out = tmp_path / 'doctor.json'
        done = self.run('--json', str(out))
        found = json.loads(out.read_text())
        assert done.returncode == found['exit_code'], done.stderr
        assert 'Traceback' not in done.stdout + done.stderr
        names = [finding['name'] for finding in found['findings']]
        assert names == [n for n, check in CHECKS.items() if not check.needs]
        for finding in found['findings']:
            bad = finding['status'] in ('WARN', 'FAIL')
            assert bool(finding['cure']) is bad, finding

    def test_why_the_package_cannot_be_imported(self, tmp_path):
        (tmp_path / 'torch.py').write_text('raise OSError("no libcudart")')
        path = f'{tmp_path}{os.pathsep}{ROOT}'
        done = self.run('--data-root', 'x', PYTHONPATH=path)
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
            ('WARN', 'no gradient reaches b.weight'),
        ),
        (
            lambda m: m['a'](torch.ones(1, 2)) + torch.inf * m['b'].weight,
            ('FAIL', 'the gradient of b.weight is not finite'),
        ),
        (
            lambda m: m['a'].weight + m['b'].weight,
            ('PASS', 'backward: finite in 2 tensors'),
        ),
    ],
)
def test_gradients(loss_of, found):
    model = torch.nn.ModuleDict(
        {name: torch.nn.Linear(2, 1, bias=False) for name in 'ab'}
    )
    losses = dict(loss_x=loss_of(model), accuracy=torch.tensor(1.0))
    (finding,) = training._backward(model, losses)
    assert finding[:2] == found


@pytest.mark.parametrize(
    ('error', 'found', 'cure'),
    [
        (
            DataError('A: bad, got 1', 'repair it'),
            'A: bad, got 1',
            'repair it',
        ),
        (DataError('A: bad'), 'A: bad', 'other'),
        (ValueError('one; two'), 'one; two', 'other'),
        (KeyError('x'), "KeyError: 'x'", 'other'),
        (ValueError(), 'ValueError', 'other'),
    ],
)
def test_errors_are_findings(error, found, cure):
    finding = blamed(error, 'other')
    assert (finding.found, finding.cure) == (found, cure)


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
