"""``micacl infer``: files, pictures, videos, exit codes."""

import csv
import json
import shutil
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from micacl_mm.apis import DFERInferencer
from micacl_mm.cli import demo, main
from micacl_mm.cli import infer as tool
from micacl_mm.registry import MODELS
from micacl_mm.visualization import annotated_video
from tests.visualization.helpers import check_png

from .conftest import NAMES
from .videos import write_video

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(place, tmp_path, capsys):
    def run(*arguments, last=()):
        model = ('--config', place / 'config.py')
        model += ('--checkpoint', place / 'model.pth', '--device', 'cpu')
        out = ('--out', tmp_path / 'out')
        # Of an option given twice the last one counts.
        code = main(['infer', *map(str, (*arguments, *model, *out, *last))])
        return code, tmp_path / 'out', capsys.readouterr()

    return run


def table(path):
    with path.open(encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_files_of_clips_good_and_bad(run, tmp_path):
    good = write_video(tmp_path / 'good.mp4', frames=100)
    (tmp_path / 'text.mp4').write_text('no video')
    for name in ('a.gif', 'b.heic'):
        (tmp_path / 'nothing' / name).parent.mkdir(exist_ok=True)
        (tmp_path / 'nothing' / name).touch()
    bad = (tmp_path / 'text.mp4', tmp_path / 'nothing')
    code, out, said = run(good, *bad, '--window', 2)
    assert code == 1
    assert 'no video or image by name: a.gif, b.heic' in said.out
    assert 'nothing: neither videos' in said.err
    assert '1 of 3 clips predicted' in said.out
    assert 'text.mp4: this is no video that can be read' in said.err
    whole = json.loads((out / 'predictions.json').read_text())
    assert whole['classes'] == [*NAMES]
    (found,), (failed, _) = whole['predictions'], whole['failures']
    assert failed['clip'].endswith('text.mp4')
    first, second, _ = table(out / 'predictions.csv')
    assert first['label'] == found['label'] and second['label'] == ''
    for name in NAMES:
        expected = found['scores'][name]
        assert float(first[name]) == pytest.approx(expected, abs=1e-4)
    windows = table(out / 'timeline.csv')
    assert len(windows) == len(found['timeline']) == 3
    assert [float(w['start']) for w in windows] == [0, 1, 2]
    names = {path.name for path in out.iterdir()}
    assert names == {'predictions.json', 'predictions.csv', 'timeline.csv'}


def test_pictures_and_videos(run, tmp_path):
    long = write_video(tmp_path / 'long.mp4', frames=60, size=(100, 70))
    (tmp_path / 'other').mkdir()
    same = write_video(tmp_path / 'other/long.mp4', frames=3)
    code, out, said = run(*(long, same, '--window', 1, '--video', '--picture'))
    assert code == 0 and str(out / 'long.png') in said.out
    run(same, '--picture', '--format', 'pdf')
    assert (out / 'long.pdf').read_bytes().startswith(b'%PDF')
    for index, frames in (('', 60), ('_2', 3)):
        check_png(out / f'long{index}.png')
        capture = cv2.VideoCapture(str(out / f'long_annotated{index}.mp4'))
        assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == frames
        read, image = capture.read()
        assert read and image.shape[0] > 360 and image.std() > 10
    assert not [p for p in out.iterdir() if p.name.startswith('.')]


@pytest.mark.parametrize('suffix', ['npz', 'csv'])
def test_features_of_every_bag(run, place, tmp_path, suffix):
    """The classifier makes the scores of them."""
    clips = [write_video(tmp_path / f'{n}.mp4', n) for n in (20, 60)]
    path = tmp_path / f'bags.{suffix}'
    options = ('--window', 1, '--stride', 1, '--features', path)
    code, out, said = run(*clips, tmp_path / 'no.mp4', *options)
    assert code == 1, said.err
    if suffix == 'npz':
        found = dict(np.load(path))
    else:
        rows = table(path)
        found = {k: np.array([row[k] for row in rows]) for k in rows[0]}
        for name in ('features', 'instance_weights'):
            keys = [k for k in rows[0] if k.rpartition('_')[0] == name]
            values = [[float(row[k]) for k in keys] for row in rows]
            found[name] = np.array(values)
    assert [Path(c).name for c in found['clip']] == ['20.mp4', *['60.mp4'] * 3]
    whole = json.loads((out / 'predictions.json').read_text())
    bags = [bag for p in whole['predictions'] for bag in p['timeline']]
    assert found['label'].tolist() == [bag['label'] for bag in bags]
    weights = [bag['instance_weights'] for bag in bags]
    assert np.allclose(found['instance_weights'], weights, atol=1e-5)
    state = torch.load(place / 'model.pth', weights_only=True)['state_dict']
    head = [state[f'cls_head.fc_cls.{k}'].numpy() for k in ('weight', 'bias')]
    logits = found['features'] @ head[0].T + head[1]
    scores = torch.from_numpy(logits).softmax(1)
    expected = [list(bag['scores'].values()) for bag in bags]
    assert np.allclose(scores, expected, atol=1e-4)


def test_wrong_arguments_end_in_a_sentence(run, place, tmp_path):
    files = {
        'syntax.py': 'model = (',
        'empty.py': 'x = 1',
        'odd.py': "model = dict(type='NoSuchModel')",
        'text.pth': 'no checkpoint',
        'file': '',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    whole = (place / 'model.pth').read_bytes()
    (tmp_path / 'half.pth').write_bytes(whole[: len(whole) // 2])
    here = {name: tmp_path / name for name in (*files, 'half.pth')}
    (tmp_path / 'own').mkdir()
    cases = [
        (('--window', -1), 'must be positive seconds'),
        (('--face', 'NoSuchDetector'), 'NoSuchDetector'),
        (('--config', 'absent.py'), 'there is no config absent.py'),
        (('--config', here['syntax.py']), 'cannot be read as a config'),
        (('--config', here['empty.py']), 'empty.py has no model'),
        (('--config', here['odd.py']), 'NoSuchModel'),
        (('--checkpoint', 'absent.pth'), 'there is no checkpoint absent.pth'),
        (('--checkpoint', here['text.pth']), 'cannot be read as a checkp'),
        (('--checkpoint', here['half.pth']), 'cannot be read as a checkp'),
        (('--device', 'gpu'), "device 'gpu' is not available"),
        (('--out', here['file']), 'is no folder to write to'),
        (('--features', 'bags.txt'), 'must end in .npz or .csv'),
        (('--out', tmp_path / 'own'), 'is one of the inputs'),
    ]
    for arguments, words in cases:
        code, out, said = run('x.mp4', tmp_path / 'own', last=arguments)
        assert code == 2
        assert words in said.err and said.err.count('\n') == 1, said.err
        assert not out.exists() and not any((tmp_path / 'own').iterdir())


def test_inputs_are_never_overwritten(run, tmp_path):
    """A second run finds what the first one has written, and leaves it."""
    folder = tmp_path / 'out'  # that of the results
    folder.mkdir()
    clip = write_video(folder / 'x.mp4')
    taken = write_video(folder / 'x_annotated.mp4', frames=7)
    before = clip.read_bytes(), taken.read_bytes()
    code, _, _ = run(clip, taken, '--video')
    assert code == 0
    assert (clip.read_bytes(), taken.read_bytes()) == before
    names = {'x_annotated_2.mp4', 'x_annotated_annotated.mp4'}
    assert names <= {path.name for path in folder.iterdir()}
    # Below a folder of clips they are none of them.
    write_video(tmp_path / 'y.mp4')
    code, _, said = run(tmp_path)
    assert code == 0 and '1 of 1 clips predicted' in said.out


def test_a_clip_that_cannot_be_drawn_costs_nothing_else(
    run, tmp_path, monkeypatch
):
    def fail(*_):
        raise OSError('disk full')

    monkeypatch.setattr(annotated_video, 'annotate_video', fail)
    good = write_video(tmp_path / 'good.mp4')
    code, out, said = run(good, '--video')
    assert code == 1 and 'predicted, not drawn, OSError: disk full' in said.err
    whole = json.loads((out / 'predictions.json').read_text())
    assert len(whole['predictions']) == 1
    assert 'disk full' in whole['undrawn'][0]


def test_what_is_predicted_is_kept_when_the_rest_fails(
    run, tmp_path, monkeypatch
):
    clips = [write_video(tmp_path / f'{i}.mp4') for i in range(2)]
    predict = DFERInferencer.predict

    def breaks(self, inputs, **kwargs):
        yield from predict(self, inputs[:1], **kwargs)
        raise MemoryError

    monkeypatch.setattr(DFERInferencer, 'predict', breaks)
    with pytest.raises(MemoryError):
        run(*clips)
    path = tmp_path / 'out/predictions.json'
    assert len(json.loads(path.read_text())['predictions']) == 1


def test_stock_models_and_options_of_the_config(place, tmp_path, capsys):
    """A recognizer without our necks; its head from --cfg-options."""
    options = ['model.neck=None', 'model.cls_head.num_classes=3']
    cfg = Config.fromfile(place / 'config.py')
    cfg.merge_from_dict({'model.neck': None, 'model.cls_head.num_classes': 3})
    model = MODELS.build(cfg.model)
    meta = dict(dataset_meta=dict(classes=['a', 'b', 'c']))
    state = dict(state_dict=model.state_dict(), meta=meta)
    torch.save(state, tmp_path / 'stock.pth')
    clip = write_video(tmp_path / 'x.mp4')
    arguments = [clip, '--out', tmp_path / 'o', '--picture', '--video']
    arguments += ['--config', place / 'config.py', '--device', 'cpu']
    arguments += ['--checkpoint', tmp_path / 'stock.pth']
    arguments += ['--cfg-options', *options]
    assert main(['infer', *map(str, arguments)]) == 0, capsys.readouterr().err
    found = json.loads((tmp_path / 'o/predictions.json').read_text())
    assert found['classes'] == ['a', 'b', 'c']
    assert 'instance_weights' not in found['predictions'][0]['timeline'][0]
    check_png(tmp_path / 'o/x.png')


def test_the_commands_of_the_demo(place, tmp_path, monkeypatch):
    ran = []
    (tmp_path / 'test').mkdir()
    (tmp_path / 'test/confusion_matrix.png').touch()
    shutil.copy(place / 'model.pth', tmp_path / 'best_acc_UAR_epoch_1.pth')
    monkeypatch.setattr(
        demo, 'run', lambda _, *command: ran.append([*map(str, command)])
    )
    assert demo.main(['--work-dir', str(tmp_path)]) == 0
    names = ['make-data', 'train', 'test', 'make-video', 'infer']
    assert [name for name, *_ in ran] == names
    arguments = tool.parse_arguments(ran[-1][1:])
    assert arguments.window == 2 and arguments.video and arguments.picture
    assert arguments.checkpoint == str(tmp_path / 'best_acc_UAR_epoch_1.pth')


def test_ctrl_c_keeps_what_is_done(run, tmp_path, monkeypatch):
    clips = [write_video(tmp_path / f'{n}.mp4', 2) for n in range(4)]
    report, told = tool.report, []

    def stop_at_the_second(prediction):
        report(prediction)
        told.append(prediction)
        if len(told) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(tool, 'report', stop_at_the_second)
    code, out, said = run(*clips, '--batch-size', 1)
    assert code == 130
    whole = json.loads((tmp_path / 'out/predictions.json').read_text())
    names = [Path(p['clip']).name for p in whole['predictions']]
    assert names == ['0.mp4', '1.mp4', '2.mp4']  # one is read ahead
