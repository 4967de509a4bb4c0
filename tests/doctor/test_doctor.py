"""The doctor finds what is wrong, and nothing else."""

import json
import os
from pathlib import Path

import pytest

from micacl_mm.doctor.command import main
from micacl_mm.doctor.registry import CHECKS
from tests.datasets.tree import (
    CLASSES,
    write_ferv,
    write_ferv_split,
    write_frames,
    write_video,
)

from .__main__ import problem
from .bench import Bench
from .faults import FAULTS

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
