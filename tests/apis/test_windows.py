import numpy as np
import pytest

from micacl_mm.apis.windows import check_windows, cut_windows


def times(frames, fps=10.0):
    return np.arange(frames) / fps, frames / fps


def test_a_short_clip_is_one_window():
    for length in (None, 3.0, 99.0):
        (window,) = cut_windows(*times(30), length)
        assert (window.start, window.end) == (0, 3)
        assert window.frames.tolist() == list(range(30))


def test_windows_by_hand():
    windows = cut_windows(*times(50), 2.0, 1.0)
    starts = [(w.start, w.end) for w in windows]
    assert starts == [(0, 2), (1, 3), (2, 4), (3, 5)]
    assert windows[1].frames.tolist() == list(range(10, 30))


def test_the_last_window_ends_with_the_clip():
    windows = cut_windows(*times(47), 2.0, 1.0)
    assert [round(w.start, 6) for w in windows] == [0, 1, 2, 2.7]
    assert windows[-1].end == pytest.approx(4.7)
    assert windows[-1].frames.tolist() == list(range(27, 47))


@pytest.mark.parametrize('frames', [31, 40, 64, 99, 1000])
@pytest.mark.parametrize('length, stride', [(3.0, None), (1.0, 0.3), (2, 2)])
def test_every_frame_is_in_a_window_and_no_window_is_empty(
    frames, length, stride
):
    seconds, duration = times(frames)
    windows = cut_windows(seconds, duration, length, stride)
    covered = np.concatenate([w.frames for w in windows])
    assert set(covered) == set(range(frames))
    for window in windows:
        inside = (seconds >= window.start - 1e-9) & (
            seconds < window.end + 1e-9
        )
        assert set(window.frames) <= set(np.flatnonzero(inside))
        assert len(window.frames) >= length * 10 - 1


def test_a_gap_in_a_variable_frame_rate():
    seconds = np.array([0.0, 0.1, 0.2, 5.0, 5.1])
    windows = cut_windows(seconds, 5.2, 1.0, 1.0)
    sizes = [len(w.frames) for w in windows]
    assert sizes[0] == 3 and sizes[2] == 0 and sizes[-1] == 2


@pytest.mark.parametrize(
    'length, stride', [(0, None), (-1, None), (2, 0), (2, 3), (2, -1)]
)
def test_windows_that_make_no_sense(length, stride):
    with pytest.raises(ValueError, match='must be positive seconds'):
        cut_windows(*times(50), length, stride)


def test_the_stride_is_half_of_the_window_by_default():
    assert check_windows(3.0, None) == 1.5
    assert check_windows(None, None) is None
