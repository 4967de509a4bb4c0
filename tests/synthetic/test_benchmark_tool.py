"""Drawing and checking the benchmark, on 37 small clips that stand for it."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from micacl_mm.cli.make_benchmark import main
from micacl_mm.synthetic import (
    benchmark,
    benchmark_settings,
    make_benchmark,
    make_synthetic,
    reference,
    verify_benchmark,
)
from micacl_mm.synthetic import digests as checksums

from .digests import digests

FRAMES = Path('Clip/clip_224x224')


@pytest.fixture(scope='module')
def small_set(tmp_path_factory):
    """A tiny "easy" level, drawn once, and its checksums."""
    out = tmp_path_factory.mktemp('benchmark')
    with pytest.MonkeyPatch.context() as patch:
        _shrink(patch)
        settings = benchmark_settings('easy')
        make_synthetic(out / 'easy', **vars(settings))
        clips = settings.plan().clips
        blocks, _ = checksums.frame_digests(out / 'easy', clips, settings)
        return out, checksums.label_digest(out / 'easy', (1,)), blocks


def _shrink(patch):
    small = dict(num_clips=35, size=32, test_per_class=0)
    for name, value in small.items():
        patch.setitem(reference.RECIPE, name, value)
    patch.setattr(checksums, 'BLOCK', 10)
    patch.setattr(benchmark, 'BLOCK', 10)


@pytest.fixture
def out(small_set, tmp_path, monkeypatch):
    """A copy of the tiny set, which is the reference here."""
    source, labels, blocks = small_set
    _shrink(monkeypatch)
    monkeypatch.setitem(reference.LABELS, 'easy', labels)
    monkeypatch.setitem(reference.BLOCKS, 'easy', ' '.join(blocks))
    return shutil.copytree(source, tmp_path / 'out')


@pytest.fixture
def tool(capsys):
    def run(*arguments):
        code = main([*map(str, arguments), '--levels', 'easy'])
        return code, capsys.readouterr()

    return run


def test_tool_tells_what_it_drew(out, tool):
    code, (text, err) = tool(out)
    assert code == 0
    assert 'train1' in text and 'Disgust' in text and ' : 1' in text
    assert '37 clips, 0 drawn now' in text and '37/37 clips' in err
    record = json.loads((out / 'easy/benchmark.json').read_text())
    assert record == {
        'name': 'synthetic',
        'version': 1,
        'level': 'easy',
        'reference': True,
        'labels': reference.LABELS['easy'],
        'frames': checksums.join_blocks(reference.BLOCKS['easy'].split()),
        'versions': {'numpy': np.__version__, 'cv2': cv2.__version__},
    }
    assert f'labels {record["labels"]}' in text
    assert f'frames {record["frames"]}' in text
    assert 'synthetic-v1-easy: equals the reference' in text
    assert not list((out / 'easy').glob('.*'))


def test_stopped_and_gone_on(out, tool, monkeypatch):
    folders = sorted((out / 'easy' / FRAMES).iterdir())
    for folder in folders[25:]:
        shutil.rmtree(folder)
    write, written = cv2.imwrite, []

    def stop(path, *args):
        written.append(path)
        if len(written) == 100:
            raise KeyboardInterrupt
        return write(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(cv2, 'imwrite', stop)
        code, (_, err) = tool(out)
    assert code == 130 and 'the same command continues' in err
    whole = len(list((out / 'easy' / FRAMES).iterdir()))
    assert 25 < whole < 37
    code, (text, _) = tool(out, '--verify')
    assert code == 1 and f'{37 - whole} clips are absent' in text
    code, (text, _) = tool(out, '--workers', 2)
    assert code == 0 and f'{37 - whole} drawn now' in text


def test_verify_sees_a_changed_byte_and_writes_nothing(out, tool):
    make_benchmark(out, ['easy'])
    assert tool(out, '--verify')[0] == 0
    path = sorted((out / 'easy' / FRAMES / '00017').iterdir())[3]
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    before = digests(out)
    code, (text, _) = tool(out, '--verify')
    assert code == 1
    assert 'Frames differ in 1 of 4 blocks of clips: 00011 to 00020.' in text
    assert 'not the reference: easy' in text and 'labels differ' not in text
    assert digests(out) == before
    shutil.rmtree(path.parent)
    assert tool(out)[0] == 0


@pytest.mark.parametrize('harm', ['folder', 'frame', 'empty', 'extra'])
def test_a_clip_that_is_not_whole_is_named(harm, out):
    folder = out / 'easy' / FRAMES / '00005'
    first = min(folder.iterdir())
    if harm == 'folder':
        shutil.rmtree(folder)
    elif harm == 'frame':
        first.unlink()
    elif harm == 'empty':
        first.write_bytes(b'')
    else:
        shutil.copy(first, folder / '00005_00099.jpg')
    report = verify_benchmark(out, ['easy'])['easy']
    assert not report['record']['reference']
    (told,) = report['differs']
    assert f'1 clips are absent or not whole ({FRAMES}/00005)' in told


@pytest.mark.parametrize('harm', ['label', 'workbook', 'absent'])
def test_other_labels_are_told_and_mended(harm, out, tool):
    split = out / 'easy/EmoLabel_DataSplit/train(single-labeled)/set_1.csv'
    book = out / 'easy/Annotation/annotation.xlsx'
    if harm == 'label':
        lines = split.read_text().splitlines()
        name, label = lines[1].split(',')
        lines[1] = f'{name},{int(label) % 7 + 1}'
        split.write_text('\n'.join([*lines, '']), newline='\n')
    elif harm == 'workbook':
        book.write_bytes(book.read_bytes()[:-30])
    else:
        split.unlink()
    code, (text, _) = tool(out, '--verify')
    assert code == 1 and 'figures on this set cannot be compared' in text
    assert 'Frames differ' not in text
    assert tool(out)[0] == 0


def test_other_rounding_warns_and_is_recorded(out, monkeypatch):
    monkeypatch.setitem(reference.BLOCKS, 'easy', ' '.join(['0' * 8] * 4))
    with pytest.warns(UserWarning, match='4 of 4 blocks.*round differently'):
        reports = make_benchmark(out, ['easy'])
    record = json.loads((out / 'easy/benchmark.json').read_text())
    assert record == reports['easy']['record'] and not record['reference']
    assert record['labels'] == reference.LABELS['easy']


def test_what_is_no_benchmark_is_refused(out, tool, tmp_path):
    for root in (tmp_path / 'nothing', out / 'easy'):
        code, (_, err) = tool(root, '--verify')
        assert code == 2 and 'holds no set of synthetic v1, level easy' in err
        assert not (root / 'easy').exists()
    os.rename(out / 'easy', out / 'hard')
    with pytest.raises(ValueError, match='holds no set .*, level hard'):
        verify_benchmark(out, ['hard'])
    with pytest.raises(ValueError, match='another difficulty'):
        make_benchmark(out, ['hard'])
    with pytest.raises(ValueError, match="must be some of easy.*'cruel'"):
        make_benchmark(tmp_path / 'new', ['easy', 'cruel'])
    assert not (tmp_path / 'new').exists()
