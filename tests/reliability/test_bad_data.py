"""A file that cannot be read: which one, and what becomes of its clip."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.evaluator import DumpResults

from micacl_mm.hooks import SafeDataHook, safe_data_hook
from micacl_mm.hooks.bad_files import BadFileError, clip_faults, watch
from micacl_mm.registry import TRANSFORMS
from tests import sets

from . import noise
from .fetching import fetch, labels

# -- Which file it is


def picture(height, width, suffix='.jpg'):
    form = {'.jpg': 'jpeg'}.get(suffix, suffix[1:])
    return sets.compressed(sets.picture(height, width), form)


def pipeline(*steps):
    """Transforms, watched as in a dataset."""
    steps = [
        TRANSFORMS.build(dict(type=step)) if isinstance(step, str) else step
        for step in steps
    ]
    dataset = SimpleNamespace(pipeline=Compose(steps))
    watch(dataset)
    return dataset.pipeline


def frames_of(clip, numbers=(0, 1, 2, 2), suffix='jpg', **more):
    return dict(
        frame_dir=str(clip),
        filename_tmpl='{:03}.' + suffix,
        frame_inds=np.array(numbers),
        modality='RGB',
        **more,
    )


FAULTS = {
    'is empty': lambda p: p.write_bytes(b''),
    'cannot be decoded, it is': lambda p: p.write_bytes(
        p.read_bytes()[: -p.stat().st_size // 3]
    ),
    'cannot be decoded, it is cut off or damaged': lambda p: p.write_bytes(
        b'no picture' * 20
    ),
    'is missing': lambda p: p.unlink(),
    'cannot be opened': lambda p: (p.unlink(), p.mkdir()),
    'is 9 x 7 px, most frames of its clip 16 x 16': lambda p: p.write_bytes(
        picture(7, 9, p.suffix)
    ),
}


@pytest.mark.parametrize('place', [0, 2])
@pytest.mark.parametrize('suffix', ['jpg', 'png'])
@pytest.mark.parametrize('decode', ['RawFrameDecode', 'FaceFrameDecode'])
@pytest.mark.parametrize('fault', FAULTS)
def test_faults_of_frames_name_the_file(
    tmp_path, decode, suffix, place, fault
):
    (clip,) = noise.draw(tmp_path, 1, suffix)
    run, path = pipeline(decode), clip / f'{place:03}.{suffix}'
    assert len(run(frames_of(clip, suffix=suffix))['imgs']) == 4
    FAULTS[fault](path)
    with pytest.raises(BadFileError) as caught:
        run(frames_of(clip, suffix=suffix))
    assert f'{path} {fault}' in str(caught.value)


@pytest.mark.parametrize('opening', ['DecordInit', 'FastVideoInit'])
@pytest.mark.parametrize('fault', ['empty', 'text', 'cut off'])
def test_faults_of_videos_name_the_file(tmp_path, fault, opening):
    pytest.importorskip('decord')
    path = tmp_path / 'clip.mp4'
    sets.write_video(path, 20)
    sample = dict(type='SampleFrames', clip_len=2, test_mode=True)
    run = pipeline(opening, TRANSFORMS.build(sample), 'DecordDecode')
    clip = dict(filename=str(path), start_index=0, modality='RGB')
    assert len(run(dict(clip))['imgs']) == 2
    if fault == 'cut off':
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_text('' if fault == 'empty' else 'no video\n' * 9)
    with pytest.raises(BadFileError, match='clip.mp4'):
        run(dict(clip))


def test_faults_of_a_clip(tmp_path):
    (clip,) = noise.draw(tmp_path, 1)
    paths = [str(clip / f'{number:03}.jpg') for number in range(5)]
    assert clip_faults([]) == {}
    assert clip_faults(paths) == {paths[4]: 'is missing'}
    Path(paths[1]).write_bytes(b'')
    Path(paths[0]).write_bytes(picture(7, 9))
    assert list(clip_faults(paths)) == [paths[1], paths[4], paths[0]]
    Path(paths[2]).write_bytes(picture(7, 9))
    Path(paths[4]).write_bytes(picture(16, 16))
    assert list(clip_faults(paths)) == [paths[1]]  # two of each size
    # Of the sampled frames each is odd to the other; the clip shows which.
    data = frames_of(clip, (0, 3), total_frames=4, start_index=0)
    Path(paths[1]).write_bytes(picture(7, 9))
    with pytest.raises(BadFileError, match='003.jpg is 16 x 16'):
        pipeline('RawFrameDecode')(dict(data))
    Path(paths[1]).write_bytes(picture(16, 16))  # two of two: who can say?
    with pytest.raises(BadFileError, match='has frames of 9 x 7 and 16 x 16'):
        pipeline('RawFrameDecode')(dict(data))


@pytest.mark.parametrize('kind', [KeyError, TypeError, AttributeError])
def test_errors_of_code_are_raised_unless_a_file_is_broken(tmp_path, kind):
    (clip,) = noise.draw(tmp_path, 1)
    path = clip / '001.jpg'

    def wrong(results):
        raise kind('offset')

    given = [frames_of(clip), dict(img_path=str(path))]
    for data in (*given, {}):
        with pytest.raises(kind, match='offset'):
            pipeline(wrong)(dict(data))
    path.write_bytes(b'no picture')
    for data in given:
        with pytest.raises(BadFileError, match='001.jpg cannot be decoded'):
            pipeline(wrong)(dict(data))


@pytest.mark.parametrize(
    'error', [MemoryError(), OSError(24, 'Too many open files')]
)
def test_errors_of_the_machine_are_raised(error):
    def fail(results):
        raise error

    with pytest.raises(type(error)) as caught:
        pipeline(fail)({})
    assert not isinstance(caught.value, BadFileError)


def test_errors_behind_the_decoder_are_raised(tmp_path):
    (clip,) = noise.draw(tmp_path, 1)

    def fail(results):
        raise ValueError('of an augmentation')

    with pytest.raises(ValueError, match='augmentation') as caught:
        pipeline('RawFrameDecode', fail)(frames_of(clip))
    assert not isinstance(caught.value, BadFileError)


# -- What becomes of its clip


def test_raise_names_clip_and_file(spoilt, tmp_path):
    folder, (bad, *_) = spoilt
    for options in ({}, dict(num_workers=1, persistent_workers=True)):
        with pytest.raises(
            BadFileError, match=r'clip .*clip01 \(class b\).*00\d.jpg is empty'
        ):
            fetch(noise.build(folder), [[0, bad]], tmp_path, **options)


def test_resample_takes_the_same_class_by_the_seed(spoilt, tmp_path):
    folder, bad = spoilt
    batches = [[index, 0] for index in bad]
    expected, log = fetch(noise.build(folder), batches, tmp_path, 'resample')
    for epoch in expected:
        assert [labels(b) for b in epoch] == [[1, 0], [2, 0], [0, 0]]
    assert 'epoch 2: 3 clips could not be read (1 a, 1 b, 1 c)' in log
    found, _ = fetch(
        noise.build(folder), batches, tmp_path, 'resample', num_workers=2
    )
    for one, other in zip(found[1], expected[1], strict=True):
        assert all(
            map(lambda a, b: a.equal(b), one['inputs'], other['inputs'])
        )


def test_a_class_without_a_good_clip_ends_the_training(tmp_path):
    for clip in noise.draw(tmp_path)[::3]:
        shutil.rmtree(clip)
    with pytest.raises(BadFileError, match='none of 6 clips can be read'):
        fetch(noise.build(tmp_path), [[0]], tmp_path, 'resample')


def test_a_training_goes_on_and_reports(spoilt, tmp_path):
    folder, bad = spoilt

    hook = dict(type='SafeDataHook', bad_data='resample')
    runner = noise.make_runner(folder, tmp_path / 'run', hook, epochs=2)
    runner.train()
    assert runner.epoch == 2 and runner.iter == 10
    told = runner.message_hub.log_scalars
    assert told['val/acc/missing_clips'].data[0].tolist() == [3, 3]
    metric = runner.val_loop.evaluator.metrics[0]
    assert metric.missing == 3 and metric.matrix.sum() == 15
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    # All four frames of each clip, drawn or not, once each.
    named = re.findall(r'bad file: (\S+) (.*) \(clip \S+(clip\d\d)', log)
    assert len({path for path, _, _ in named}) == len(named) == 12
    for clip, reason in (
        ('clip01', 'is empty'),
        ('clip05', 'is missing'),
        ('clip09', 'cannot be decoded'),
    ):
        reasons = [text for _, text, of in named if of == clip]
        assert len(reasons) == 4 and all(reason in x for x in reasons)
    assert '15 of 18 clips were evaluated' in log
    words = r'(\w+), epoch (\d): 3 clips .* \(1 a, 1 b, 1 c\)'
    told = ['train 1', 'val 1', 'train 2', 'val 2']
    assert list(map(' '.join, re.findall(words, log))) == told
    for words in ('replaced by others of the class', 'were left out'):
        assert log.count(words) == 2


@pytest.mark.parametrize('metric', ['RecallMetric', 'AccMetric'])
def test_a_test_says_that_clips_are_missing(spoilt, tmp_path, metric):
    folder, bad = spoilt
    runner = noise.make_runner(
        folder,
        tmp_path,
        dict(type='SafeDataHook', bad_data='resample'),
        dict(type='ResultHook'),
        metric=metric,
    )
    if metric == 'AccMetric':
        with pytest.raises(ValueError, match='AccMetric would count other'):
            runner.test()
        return
    runner.test()
    (path,) = tmp_path.glob('*/result.json')
    record = json.loads(path.read_text())
    assert record['missing'] == len(bad) and record['clips'] == 15
    assert record['metrics']['acc/missing_clips'] == 3
    assert record['clips_per_class'] == [5, 5, 5]
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert '15 of 18 clips were evaluated' in log
    assert 'test, epoch 0: 3 clips could not be read' in log


def test_scores_of_other_clips_are_not_stored(clips, tmp_path):
    scores = DumpResults(str(tmp_path / 'scores.pkl'))
    for policy in ('raise', 'resample'):
        hook = SafeDataHook(bad_data=policy)
        runner = noise.make_runner(clips, tmp_path)
        runner.test_loop.evaluator.metrics.append(scores)
        if policy == 'raise':
            hook.before_test(runner)
            continue
        with pytest.raises(ValueError, match='--dump'):
            hook.before_test(runner)


@pytest.mark.parametrize('policy', ['ignore', 'skip', None])
def test_a_wrong_policy_is_refused(policy):
    with pytest.raises(ValueError, match="one of 'raise', 'resample', got"):
        SafeDataHook(bad_data=policy)


def test_five_percent_of_the_clips(tmp_path):
    clips = noise.draw(tmp_path / 'data', 60)
    planted = {
        str(clips[7] / '001.jpg'): b'',
        str(clips[31] / '003.jpg'): b'no picture',
        str(clips[44] / '000.jpg'): picture(9, 9),
    }
    for path, content in planted.items():
        Path(path).write_bytes(content)
    sample = dict(type='SampleFrames', clip_len=4, num_clips=1)
    batches = [list(range(i, i + 10)) for i in range(0, 60, 10)]
    for mode, steps in dict(train=noise.TRAIN, test=noise.TEST).items():
        dataset = noise.build(tmp_path / 'data', [sample, *steps[1:]])
        (found,), log = fetch(
            dataset, batches, tmp_path, 'resample', mode, epochs=1
        )
        assert sum(len(b['inputs']) for b in found) == 60
        assert '3 clips could not be read (2 b, 1 c)' in log
        replaced = [
            index
            for index, sample in enumerate(
                sample for b in found for sample in b['data_samples']
            )
            if sample.get(safe_data_hook.STAND_IN)
        ]
        assert replaced == ([7, 31, 44] if mode == 'test' else [])
        assert re.findall(r'bad file: (\S+)', log) == sorted(planted)
