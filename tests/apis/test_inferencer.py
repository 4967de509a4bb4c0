"""From clips to scores, the same as the test's."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner

from micacl_mm.apis import DFERInferencer
from micacl_mm.registry import DATASETS, INFERENCERS, TRANSFORMS

from .conftest import NAMES
from .videos import cut_off, picture, sound, turned, uneven, write_video


def build(place, config=None, checkpoint='model.pth', **kwargs):
    config = place / 'config.py' if config is None else config
    return DFERInferencer(config, place / checkpoint, device='cpu', **kwargs)


@pytest.fixture(scope='module')
def infer(place):
    return build(place)


def predict(infer, model_inputs):
    with torch.no_grad():
        return infer.model.test_step(pseudo_collate(model_inputs))


def test_frames_get_the_scores_of_the_test(place, infer):
    assert INFERENCERS.get('DFERInferencer') is DFERInferencer
    cfg = Config.fromfile(place / 'config.py')
    loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    with torch.no_grad():
        expected = [s for data in loader for s in infer.model.test_step(data)]
    infos = map(loader.dataset.get_data_info, range(len(loader.dataset)))
    folders = [info['frame_dir'] for info in infos]
    found = list(infer.predict(folders, batch_size=4))
    assert len(found) == len(expected) == 7
    for prediction, sample in zip(found, expected, strict=True):
        assert np.array_equal(prediction.scores, sample.pred_score.double())
        assert prediction.label == NAMES[sample.pred_label]
    # All at once or one by one: as near as batches are.
    single = [next(infer.predict(f, batch_size=1)).scores for f in folders]
    assert np.allclose(single, [p.scores for p in found], atol=1e-6)


def test_videos_get_the_scores_of_the_test(place, infer, tmp_path):
    path = write_video(tmp_path / 'a.mp4', frames=30)
    cfg = Config.fromfile(place / 'config.py')
    steps = list(cfg.test_dataloader.dataset.pipeline)
    kinds = [step['type'] for step in steps]
    steps[kinds.index('RawFrameDecode')] = dict(type='DecordDecode')
    data = dict(
        type='VideoDataset',
        ann_file=str(tmp_path / 'list.txt'),
        pipeline=[dict(type='DecordInit'), *steps],
        test_mode=True,
    )
    (tmp_path / 'list.txt').write_text(f'{path} 0\n')
    (expected,) = predict(infer, [DATASETS.build(data)[0]])
    (found,) = infer.predict(path)
    assert np.array_equal(found.scores, expected.pred_score.double())
    capture, frames = cv2.VideoCapture(str(path)), []
    while (got := capture.read())[0]:
        frames.append(got[1][..., ::-1])
    (same,) = infer.predict(np.stack(frames))
    assert np.allclose(same.scores, found.scores, atol=0.02)
    # A config may have the classes themselves as types.
    for step in cfg.test_dataloader.dataset.pipeline:
        step['type'] = TRANSFORMS.get(step['type'])
    (same,) = build(place, cfg).predict(path)
    assert np.array_equal(found.scores, same.scores)


def test_a_long_clip_has_a_timeline(infer, tmp_path):
    path = write_video(tmp_path / 'long.mp4', frames=100)
    (found,) = infer.predict(path, window=2.0, stride=1.0, batch_size=2)
    assert [(b.start, b.end) for b in found.bags] == [(0, 2), (1, 3), (2, 4)]
    each = np.stack([bag.scores for bag in found.bags])
    assert np.allclose(found.scores, each.mean(0))
    assert np.allclose(each.sum(1), 1, atol=1e-5)
    # A window is predicted as a clip of its frames alone.
    frames = np.stack([picture(i) for i in range(100)])
    (whole,) = infer.predict(frames, window=2.0, stride=1.0)
    (part,) = infer.predict(frames[25:75], window=None)
    assert np.allclose(whole.bags[1].scores, part.scores, atol=1e-6)
    assert np.array_equal(whole.bags[1].frames, part.bags[0].frames + 25)
    (one,) = infer.predict(path, window=None)
    assert len(one.bags) == 1 and one.bags[0].end == pytest.approx(4)


def test_what_comes_out_is_json(infer, tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    out = infer([str(path), 'absent.mp4'], explained=True)
    assert json.loads(json.dumps(out)) == out
    (found,), (failed,) = out['predictions'], out['failures']
    assert found['clip'] == str(path) and list(found['scores']) == [*NAMES]
    assert found['label'] == max(found['scores'], key=found['scores'].get)
    (bag,) = found['timeline']
    assert bag['seen'] == 1 and np.shape(bag['frames']) == (4, 4)
    assert sum(bag['instance_weights']) == pytest.approx(1, abs=1e-5)
    assert np.shape(bag['adjacency']) == (4, 4)
    assert np.shape(bag['attention']) == (8, 4, 4)
    assert failed == dict(
        clip='absent.mp4', error='absent.mp4: there is no such file or folder'
    )


def test_bad_clips_fail_by_themselves(infer, tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty.mp4').touch()
    sound(tmp_path / 'sound.mp4')
    plain = write_video(tmp_path / 'good.mp4', frames=60)
    cut_off(tmp_path / 'cut.mp4', plain, 0.6)
    turned(tmp_path / 'turned.mp4', plain, 90)
    uneven(tmp_path / 'uneven.mp4', plain)
    write_video(tmp_path / 'one.mp4', frames=1)
    write_video(tmp_path / 'large.mp4', frames=3, fps=120, size=(2160, 3840))
    for folder in ('frames', 'colour', 'grey', 'mixed'):
        (tmp_path / folder).mkdir()
        for index in range(20):
            height = 48 + index * (folder == 'mixed')
            image = picture(index, height)
            image = image[..., 0] if folder == 'grey' else image
            cv2.imwrite(str(tmp_path / folder / f'{index}.png'), image)
    damaged = tmp_path / 'frames/9.png'
    damaged.write_bytes(damaged.read_bytes()[:60])
    found = {p.name: p for p in infer.predict(tmp_path, batch_size=3)}
    errors = {name: p.error for name, p in found.items() if p.error}
    assert set(errors) == {'text', 'empty', 'sound', 'frames', 'cut'}
    assert '9.png' in errors['frames'] and 'cut off' in errors['cut']
    for text in errors.values():
        assert '\n' not in text and str(tmp_path) in text
    for name in set(found) - set(errors):
        assert found[name].scores.sum() == pytest.approx(1, abs=1e-5)
    assert len(found) - len(errors) == 8
    grey, colour = found['grey'].scores, found['colour'].scores
    assert np.allclose(grey, colour, atol=1e-5)


def test_mixed_precision_is_near(place, infer, tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    (exact,) = infer.predict(path)
    (mixed,) = build(place, amp=True).predict(path)
    assert np.allclose(mixed.scores, exact.scores, atol=0.05)
    assert not np.array_equal(mixed.scores, exact.scores)


def test_scores_are_adjusted_by_class_counts(place, infer, tmp_path):
    path = write_video(tmp_path / 'a.mp4')
    (plain,) = infer.predict(path)
    counts = [90, 30, 20, 10, 5, 3, 0]
    adjusted = build(place, logit_adjust=1.0, class_counts=counts)
    wanted = plain.scores / np.maximum(counts, 1)
    (found,) = adjusted.predict(path)
    assert np.allclose(found.scores, wanted / wanted.sum(), atol=1e-5)
    (same,) = build(place, logit_adjust=1.0).predict(path)
    assert np.allclose(same.scores, plain.scores, atol=1e-6)  # counts are 4


def test_wrong_files_and_arguments(place, infer, tmp_path):
    with pytest.raises(FileNotFoundError, match='absent.py'):
        build(place, 'absent.py')
    with pytest.raises(FileNotFoundError, match='absent.pth'):
        build(place, checkpoint='absent.pth')
    (failed,) = infer(tmp_path)['failures']
    assert 'neither videos' in failed['error']
    for wrong in (dict(batch_size=0), dict(fps=-1), dict(window=-2)):
        with pytest.raises(ValueError, match='positive'):
            infer('x.mp4', **wrong)


def test_checkpoints_of_other_models_and_classes(place, tmp_path):
    state = torch.load(place / 'model.pth', weights_only=True)
    torch.save(state['state_dict'], tmp_path / 'bare.pth')
    bare = build(place, checkpoint=tmp_path / 'bare.pth')
    assert bare.classes == NAMES  # of the data set
    state['meta']['dataset_meta']['classes'] = ['yes', 'no']
    torch.save(state, tmp_path / 'two.pth')
    with pytest.raises(ValueError, match='yes, no.*num_classes=7'):
        build(place, checkpoint=tmp_path / 'two.pth')
    del state['state_dict']['cls_head.fc_cls.weight']
    torch.save(state, tmp_path / 'part.pth')
    with pytest.raises(ValueError, match=r'not fit.*fc_cls\.weight'):
        build(place, checkpoint=tmp_path / 'part.pth')
