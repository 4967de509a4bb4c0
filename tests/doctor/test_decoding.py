"""Many clips are decoded, also by a run that was stopped."""

import os

import cv2
import pytest

from micacl_mm.doctor import decoding
from micacl_mm.doctor.clip_files import list_clips
from micacl_mm.doctor.clip_report import decode_clip

from .tree import clip_dir, frame_path, write_frames_of


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('clips')
    for clip in range(6):
        write_frames_of(root, clip)
    return root


class TestDecoding:
    @pytest.fixture
    def clips(self, root):
        class Clips(list):
            def get_data_info(self, index):
                return self[index]

        infos = Clips(
            dict(
                frame_dir=str(path),
                frames=[frame.name for frame in sorted(path.iterdir())],
                video_id=path.name,
                label=0,
            )
            for path in [clip_dir(root, clip) for clip in range(6)]
        )
        found, absent = list_clips([('train', infos), ('test', infos)])
        assert not absent
        return found

    def test_clips_of_two_loaders_are_listed_once(self, clips):
        assert len(clips) == 6 and {clip.loader for clip in clips} == {'train'}

    def test_stopped_it_goes_on(self, clips, tmp_path, monkeypatch):
        state, done = tmp_path / 'notes' / 'state.jsonl', []

        def work(clips, work, workers, died):
            for clip in clips:
                if len(done) == 4:
                    raise KeyboardInterrupt
                done.append(clip.path)
                yield work(clip)

        monkeypatch.setattr(decoding, 'run_all', work)
        with pytest.raises(KeyboardInterrupt):
            decoding.decode_clips(clips, 1, state)
        # Killed in the middle of a line.
        text = state.read_text()
        state.write_text(text[: len(text) - 20])
        done.clear()
        reports = decoding.decode_clips(clips, 1, state)
        assert done == [clip.path for clip in clips[3:]]
        assert {r.path for r in reports} == {clip.path for clip in clips}
        done.clear()
        assert decoding.decode_clips(clips, 1, state) and not done

    def test_a_changed_clip_is_decoded_again(self, clips, tmp_path):
        state = tmp_path / 'state.jsonl'
        decoding.decode_clips(clips[:2], 2, state)
        old = clips[1]
        new = type(old)(**{**vars(old), 'changed': old.changed + 1})
        before = len(state.read_text().split())
        decoding.decode_clips([clips[0], new], 1, state)
        lines = [line for line in state.read_text().splitlines() if line]
        assert len(lines) == 3 and before < len(state.read_text().split())

    def test_processes_find_what_one_finds(self, clips):
        def key(report):
            return report.path

        found = sorted(decoding.decode_clips(clips, 2, None), key=key)
        assert found == sorted(map(decode_clip, clips), key=key)

    def test_a_process_that_dies_is_of_one_clip(self, clips, monkeypatch):
        bad = clips[2].path

        def work(clip):
            return os._exit(1) if clip.path == bad else decode_clip(clip)

        monkeypatch.setattr(decoding, 'decode_clip', work)
        reports = decoding.decode_clips(clips, 2, None)
        damaged = {r.path: r.damaged for r in reports if r.damaged}
        assert list(damaged) == [bad] and len(reports) == len(clips)
        assert 'process died' in damaged[bad][0]

    def test_no_clip(self):
        assert decoding.decode_clips([], 2, None) == []


def test_opencv_would_not_have_seen_the_cut(root, tmp_path):
    """Why Pillow decodes here: OpenCV fills what is lacking with grey."""
    path = tmp_path / 'cut.jpg'
    data = frame_path(root, 3).read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    assert cv2.imread(str(path)) is not None
