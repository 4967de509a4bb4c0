"""``tools/export.py``, and the example that runs what it writes."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.cli import main
from micacl_mm.export.exportable_recognizer import draw_frames
from micacl_mm.registry import MODELS

from .clips import ALONE, stock_scores, write_clip
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


def test_what_is_printed(exported, tmp_path, capsys):
    out = tmp_path / 'new' / 'x.pt2'
    argv = ['--format', 'program', '--out', out, '--batch-check', 2]
    assert run(*exported.pair, *argv) == 0
    text = capsys.readouterr().out
    assert f'{out}: 0.' in text and ' MB, ' in text
    assert '(batch, 4, 3, 4, 48, 48)' in text
    assert 'at batches of 1 and 2' in text
    assert float(text.split('score ')[1].split()[0]) <= 1e-4


def test_half_is_a_file_of_its_own(exported, tmp_path, capsys):
    before = exported.onnx.read_bytes()
    assert run(*exported.pair, '--half') == 0
    half = exported.onnx.with_stem('epoch_1_fp16')
    assert half.stat().st_size < 0.75 * len(before)
    assert exported.onnx.read_bytes() == before
    assert f'{half}: 0.' in capsys.readouterr().out
    half.unlink()


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


def test_paths_that_lead_nowhere(exported, sentence, tmp_path):
    config, checkpoint = exported.pair
    assert 'no config gone.py' in sentence('gone.py', checkpoint)
    assert 'no checkpoint gone.pth' in sentence(config, 'gone.pth')


def test_weights_of_something_else(exported, sentence, tmp_path):
    config, checkpoint = exported.pair
    other = ['--cfg-options', 'model.backbone.base_channels=4']
    text = sentence(config, checkpoint, *other)
    assert 'does not fit the model of' in text and 'size mismatch' in text
    notes = tmp_path / 'notes.pth'
    notes.write_text('no weights')
    assert f'{notes} cannot be read' in sentence(config, notes)
    half = tmp_path / 'half.pth'
    torch.save(dict(state_dict={}), half)
    assert 'does not fit the model' in sentence(config, half)


def test_a_config_of_no_model(exported, sentence, tmp_path):
    config = tmp_path / 'wrong.py'
    config.write_text("model = dict(type='NoSuchThing')")
    text = sentence(config, exported.checkpoint)
    assert 'wrong.py cannot be built' in text and 'NoSuchThing' in text
    config.write_text('model = dict(')
    assert 'cannot be read as a con' in sentence(config, exported.checkpoint)


def test_a_checkpoint_of_other_classes(exported, sentence, tmp_path):
    other = tmp_path / 'other.pth'
    weights = torch.load(exported.checkpoint)
    weights['meta']['dataset_meta']['classes'] = CLASSES[:5]
    torch.save(weights, other)
    text = sentence(exported.config, other)
    assert 'the 5 classes joy, grief' in text and 'num_classes=7' in text


def test_code_in_a_checkpoint_is_not_run(exported, sentence, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / 'ran',))

    evil = tmp_path / 'evil.pth'
    torch.save(dict(state_dict=Evil()), evil)
    assert 'evil.pth cannot be read' in sentence(exported.config, evil)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
    'argv, match',
    [
        (['--batch-check', 1], '--batch-check must be at least 2, got 1'),
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
