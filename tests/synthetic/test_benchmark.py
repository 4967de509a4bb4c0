"""The frozen recipe "synthetic v1", its checksums, drawing and checking."""

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from micacl_mm.cli import main
from micacl_mm.synthetic import (
    BENCHMARK_LEVELS,
    DEVELOPMENT,
    EMOTIONS,
    benchmark,
    benchmark_settings,
    make_benchmark,
    make_synthetic,
    writer,
)
from micacl_mm.synthetic.benchmark import frame_digest, label_digest
from micacl_mm.synthetic.clip import clip_layout
from micacl_mm.synthetic.layouts import frame_dir, write_annotation
from micacl_mm.synthetic.writer import write_clip

from .conftest import paint

ROOT = Path(__file__).parents[2]
# These never change: version 1 is frozen. Whoever makes the drawing better
# makes a version 2 and leaves this one drawable.
RECORDS = {
    'easy': '5c31c826d02c7fe9',
    'medium': '8275e7d24e7fead3',
    'hard': 'eef315eac4fbfbc7',
}
PLAN = 'f4021de891965979'
#: Of a block: a clip of each class; four clips, one of two emotions.
SAMPLES = {
    'easy': '4ee2c27e',
    'medium': '2a437360',
    'hard': '00e194e0',
    DEVELOPMENT: '4eaf22a5',
}


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


# ---- the recipe


def test_pinned_recipe_plan_and_labels(tmp_path):
    plan = benchmark_settings('medium').plan()
    for level, digest in RECORDS.items():
        settings = benchmark_settings(level)
        record = json.dumps(settings.record(), sort_keys=True)
        assert sha(record)[:16] == digest and settings.plan() == plan
    record = {**benchmark_settings('medium').record(), 'seed': 1}
    assert benchmark_settings(DEVELOPMENT).record() == record
    rows = [  # persons, lengths and frame numbers are in no split file
        (c.clip_id, c.emotions, c.identity, c.group, c.extra, c.name)
        + clip_layout(c, 0, 'dfew')
        for c in plan.clips
    ]
    assert sha(json.dumps(rows))[:16] == PLAN
    write_annotation(tmp_path, 'dfew', plan, 0)
    assert label_digest(tmp_path, (1,)) == benchmark.LABELS['medium']


def test_documented_checksums():
    text = (ROOT / 'docs/benchmark.md').read_text(encoding='utf-8')
    assert all(digest in text for digest in benchmark.LABELS.values())
    assert all(digest in text for digest in benchmark.FRAMES.values())


# ---- the frames


def draw(root, level, clips):
    settings, scratch = benchmark_settings(level), root / 'scratch'
    scratch.mkdir(parents=True)
    assert all(write_clip(clip, root, scratch, settings) for clip in clips)
    found, damaged = frame_digest(root, clips, settings)
    assert not damaged
    return found


def sample(level):
    """A clip of each class, of other persons on each level."""
    clips = benchmark_settings(level).plan().clips
    if level == DEVELOPMENT:
        two = [clip for clip in clips if len(clip.emotions) == 2]
        return [*clips[:3], two[0]]
    which = BENCHMARK_LEVELS.index(level)
    return [
        [clip for clip in clips if clip.emotions == (emotion,)][which]
        for emotion in EMOTIONS
    ]


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sample')
    return folder, {
        level: draw(folder / level, level, sample(level)) for level in SAMPLES
    }


def rounds_as_the_reference():
    ours = {'numpy': np.__version__, 'cv2': cv2.__version__}
    features = (11, 12)  # AVX2 and FMA3 in OpenCV's cvdef.h
    return ours == benchmark.VERSIONS and all(
        cv2.checkHardwareSupport(feature) for feature in features
    )


reference_only = pytest.mark.skipif(
    not rounds_as_the_reference(),
    reason=f'the bytes are those of {benchmark.VERSIONS} on x86-64 with AVX2',
)


@reference_only
def test_pinned_frames(drawn):
    assert drawn[1] == {level: sha(block) for level, block in SAMPLES.items()}


@pytest.mark.parametrize('level', BENCHMARK_LEVELS)
def test_frames_anywhere(level, drawn):
    """On any machine; OpenCV before 4.11 draws other edges."""
    sheet = cv2.imread(str(Path(__file__).with_name('benchmark_v1.png')))
    rows = np.split(sheet.astype(float), len(BENCHMARK_LEVELS))
    expected = rows[BENCHMARK_LEVELS.index(level)]
    tiles = []
    for clip in sample(level):
        paths = sorted((drawn[0] / level / frame_dir('dfew', clip)).iterdir())
        image = cv2.imread(str(paths[len(paths) // 2])).astype(np.float32)
        tiles.append(cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA))
    gap = np.abs(np.rint(np.hstack(tiles)) - expected)
    of_clips = [tile.mean() for tile in np.split(gap, len(EMOTIONS), axis=1)]
    version = tuple(map(int, cv2.__version__.split('.')[:2]))
    assert max(of_clips) < (0.05 if version >= (4, 11) else 1.0)


# ---- drawing and checking, with 37 small clips as the reference


@pytest.fixture(scope='module')
def small_set(tmp_path_factory):
    out = tmp_path_factory.mktemp('benchmark')
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        patch.setattr(writer, 'render_clip', paint)
        settings = benchmark_settings('easy')
        make_synthetic(out / 'easy', **vars(settings))
        clips = settings.plan().clips
        frames, _ = frame_digest(out / 'easy', clips, settings)
        return out, label_digest(out / 'easy', (1,)), frames


def shrink(patch):
    small = dict(num_clips=35, size=32, test_per_class=0)
    for name, value in small.items():
        patch.setitem(benchmark.RECIPE, name, value)


@pytest.fixture
def out(small_set, tmp_path, monkeypatch):
    """A copy of the small set, which is the reference here."""
    source, labels, frames = small_set
    shrink(monkeypatch)
    monkeypatch.setattr(writer, 'render_clip', paint)
    monkeypatch.setitem(benchmark.LABELS, 'easy', labels)
    monkeypatch.setitem(benchmark.FRAMES, 'easy', frames)
    return shutil.copytree(source, tmp_path / 'out')


@pytest.fixture
def tool(capsys):
    def run(*arguments):
        words = ['make-benchmark', *map(str, arguments), '--levels', 'easy']
        return main(words), ''.join(capsys.readouterr())

    return run


def test_the_record_of_a_level(out, tool):
    code, text = tool(out)
    assert code == 0 and '0 drawn now' in text
    record = json.loads((out / 'easy/benchmark.json').read_text())
    assert record == {
        'name': 'synthetic',
        'version': 1,
        'level': 'easy',
        'reference': True,
        'labels': benchmark.LABELS['easy'],
        'frames': benchmark.FRAMES['easy'],
        'versions': {'numpy': np.__version__, 'cv2': cv2.__version__},
    }
    assert f'labels {record["labels"]}' in text
    assert f'frames {record["frames"]}' in text
    assert 'synthetic-v1-easy: equals the reference' in text
    assert not list((out / 'easy').glob('.*'))


@pytest.mark.parametrize(
    'harm', ['folder', 'frame', 'empty', 'extra', 'byte', 'label', 'book']
)
def test_harm_is_seen_without_writing_and_mended(harm, out, tool):
    folder = out / 'easy/Clip/clip_224x224/00005'
    first = min(folder.iterdir())
    split = out / 'easy/EmoLabel_DataSplit/train(single-labeled)/set_1.csv'
    told = f'1 clips are absent or not whole ({folder.relative_to(out)}'
    told = told.replace('(easy/', '(')
    if harm == 'folder':
        shutil.rmtree(folder)
    elif harm == 'frame':
        first.unlink()
    elif harm == 'empty':
        first.write_bytes(b'')
    elif harm == 'extra':
        shutil.copy(first, folder / '00005_00099.jpg')
    elif harm == 'byte':
        data = bytearray(first.read_bytes())
        data[-40] ^= 1
        first.write_bytes(data)
        told = 'Frames differ'
    else:
        told = 'figures on this set cannot be compared'
        if harm == 'label':
            split.write_text(split.read_text().replace(',7', ',6', 1))
        else:
            book = out / 'easy/Annotation/annotation.xlsx'
            book.write_bytes(book.read_bytes()[:-30])
    before = {p: p.stat().st_mtime_ns for p in out.rglob('*')}
    code, text = tool(out, '--verify')
    assert code == 1 and told in text and 'not the reference: easy' in text
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob('*')}
    shutil.rmtree(folder, ignore_errors=True)
    assert tool(out)[0] == 0


def test_what_is_no_benchmark_is_refused(out, tool, tmp_path):
    for root in (tmp_path / 'nothing', out / 'easy'):
        code, text = tool(root, '--verify')
        assert code == 2 and 'holds no set of synthetic v1, level easy' in text
        assert not (root / 'easy').exists()
    (out / 'easy').rename(out / 'hard')
    with pytest.raises(ValueError, match='holds no set .*, level hard'):
        make_benchmark(out, 'hard', verify=True)
    with pytest.raises(ValueError, match='another difficulty'):
        make_benchmark(out, 'hard')
    with pytest.raises(ValueError, match="must be some of easy.*'cruel'"):
        make_benchmark(tmp_path / 'new', 'cruel')
    assert not (tmp_path / 'new').exists()
