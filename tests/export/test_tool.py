"""``micacl export``, and the example that runs what it writes."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from micacl_mm.cli import main
from micacl_mm.export.exportable_recognizer import draw_frames
from micacl_mm.registry import MODELS
from tests import sets

from .helpers import spread_scores, stir

onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('onnx')
pytest.importorskip('onnxscript')

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / 'tools' / 'examples' / 'run_onnx.py'
CONFIG = f"""
_base_ = [{str(ROOT / 'configs/micacl_demo.py')!r}]
model = dict(
    backbone=dict(base_channels=2),
    neck=dict(_delete_=True, type='PassThroughNeck', num_instances=4),
    cls_head=dict(in_channels=16),
)
"""
CLASSES = ('joy', 'grief', 'rest', 'rage', 'shock', 'disgust', 'fear')


#: Runs a script in a process that has neither PyTorch nor us.
ALONE = """
import runpy, sys
for name in ('torch', 'mmengine', 'mmcv', 'mmaction', 'micacl_mm'):
    sys.modules[name] = None  # importing it fails
names = runpy.run_path({script!r})
__import__('numpy').save('scores.npy', names['scores'])
"""


def write_clip(path, length, kind):
    images = [sets.picture(90, 80, seed) for seed in range(length)]
    if kind == 'video':
        sets.write_video(path, images)
        return dict(filename=str(path))
    sets.touch(path / 'Thumbs.db')
    for number, image in enumerate(images, start=1):
        sets.touch(path / f'face_{number}.jpg', sets.compressed(image))
    return dict(
        frame_dir=str(path),
        filename_tmpl='face_{}.jpg',
        total_frames=length,
        start_index=1,
        modality='RGB',
    )


def stock_scores(cfg, model, clip, kind):
    """Scores of the test pipeline and the model itself."""
    init_default_scope('mmaction')
    steps = [*cfg.test_pipeline]
    if kind == 'video':
        at = [step['type'] for step in steps].index('RawFrameDecode')
        steps[at] = dict(type='OpenCVDecode')
        steps.insert(0, dict(type='OpenCVInit'))
    packed = Compose(steps)(dict(clip, label=0))
    batch = {key: [value] for key, value in packed.items()}
    with torch.no_grad():
        return model.test_step(batch)[0].pred_score.numpy()


def run(*argv):
    """Run the tool; its exit code."""
    try:
        return main(['export', *map(str, argv)])
    except SystemExit as error:
        return error.code


def write_model(folder):
    """A config, a model of it and its checkpoint."""
    folder.mkdir(exist_ok=True)
    config, checkpoint = folder / 'tiny.py', folder / 'epoch_1.pth'
    config.write_text(CONFIG)
    cfg = Config.fromfile(config)
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = stir(MODELS.build(cfg.model))
    spread_scores(model, draw_frames(3, (4, 3, 4, 48, 48)))
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), checkpoint)
    return SimpleNamespace(
        cfg=cfg,
        model=model,
        config=config,
        checkpoint=checkpoint,
        pair=(config, checkpoint),
    )


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """What ``--format both`` writes, beside the checkpoint."""
    found = write_model(tmp_path_factory.mktemp('tool'))
    found.code = run(*found.pair, '--format', 'both')
    found.onnx = found.checkpoint.with_suffix('.onnx')
    found.program = found.checkpoint.with_suffix('.pt2')
    return found


def test_both_are_written_and_say_what_they_are(exported):
    assert exported.code == 0
    session = onnxruntime.InferenceSession(str(exported.onnx))
    texts = session.get_modelmeta().custom_metadata_map
    about = {name: json.loads(text) for name, text in texts.items()}
    assert about['classes'] == list(CLASSES)
    assert about['method'] == 'tiny' and about['size'] == [48, 48]
    extra = {'metadata.json': ''}
    with exported.program.open('rb') as file:
        torch.export.load(file, extra_files=extra)
    assert json.loads(extra['metadata.json']) == about


def test_half_is_a_file_of_its_own(exported, monkeypatch):
    seen = {}

    def export(model, path, shape, **options):
        seen.update(options, path=path)
        path.touch()
        return 2e-3

    monkeypatch.setattr('micacl_mm.export.export_onnx', export)
    assert run(*exported.pair, '--half') == 0
    assert seen['half'] and seen['path'].name == 'epoch_1_fp16.onnx'
    seen['path'].unlink()


@pytest.mark.parametrize('kind, length', [('frames', 5), ('video', 21)])
def test_the_example_without_our_package(exported, kind, length, tmp_path):
    path = tmp_path / ('clip.mp4' if kind == 'video' else 'clip')
    clip = write_clip(path, length, kind)
    code = ALONE.format(script=str(EXAMPLE))
    done = subprocess.run(
        [sys.executable, '-c', code, exported.onnx, path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = stock_scores(exported.cfg, exported.model, clip, kind)
    found = np.load(tmp_path / 'scores.npy')
    np.testing.assert_allclose(found, expected, atol=1e-5)
    order = expected.argsort()[::-1]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, _ in lines] == [CLASSES[k] for k in order]
    printed = [float(score) for _, score in lines]
    assert printed == pytest.approx(expected[order].tolist(), abs=2e-5)


@pytest.fixture
def sentence(capsys):
    """What the tool says before it leaves with 2."""

    def sentence(*argv):
        capsys.readouterr()
        assert run(*argv) == 2
        return capsys.readouterr().err.splitlines()[-1]

    return sentence


@pytest.mark.parametrize(
    'argv, match',
    [
        (['--batch-check', 1], 'batch must be at least 2 and'),
        (['--opset', 11], 'opset must be 18 to '),
        (['--out', 'x.pt2'], 'which writes .onnx. Fix: change one'),
        (
            ['--out', 'x.onnx', '--format', 'both'],
            '.onnx and .pt2. Fix: change',
        ),
        (['--out', Path(__file__)], 'is a file. Fix: name a folder'),
        (['--half', '--format', 'both'], '--half is for --format onnx'),
        (['--shape', 4, 3], 'must have 6 axes'),
        (['--format', 'engine'], "invalid choice: 'engine'"),
        (
            ['--cfg-options', 'model.cls_head.average_clips=None'],
            "set cls_head.average_clips='prob'",
        ),
    ],
)
def test_wrong_arguments(argv, match, exported, sentence):
    assert match in sentence(*exported.pair, *argv)


def test_the_docs_show_the_example():
    text = (ROOT / 'docs' / 'export.md').read_text(encoding='utf-8')
    assert f'```py\n{EXAMPLE.read_text(encoding="utf-8")}```' in text
