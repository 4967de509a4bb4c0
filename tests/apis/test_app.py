"""``micacl app`` in a real browser, with a file and a fake camera."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from micacl_mm import DFERInferencer
from micacl_mm.apis import ClipError

from .videos import write_video

gr = pytest.importorskip('gradio')
CHROMIUM = shutil.which('chromium') or shutil.which('google-chrome')
FLAGS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--use-fake-ui-for-media-stream',
    '--use-fake-device-for-media-stream',
]


@pytest.fixture(scope='module')
def predictor(place, tmp_path_factory):
    from micacl_mm.cli.app import Predictor

    infer = DFERInferencer(
        place / 'config.py', place / 'model.pth', 'cpu', show_progress=False
    )
    folder = tmp_path_factory.mktemp('app')
    return Predictor(infer, folder, window=1.0, max_seconds=10.0)


@pytest.fixture(scope='module')
def page(predictor):
    """A page of a browser that shows the app; what it asks of other hosts."""
    from micacl_mm.cli.app import serve

    sync_api = pytest.importorskip('playwright.sync_api')
    if CHROMIUM is None:
        pytest.skip('needs Chromium')
    app = serve(predictor, block=False)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS
        )
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.foreign = []
        page.on(
            'request',
            lambda r: (
                r.url.startswith((app.local_url, 'blob:', 'data:'))
                or page.foreign.append(r.url)
            ),
        )
        page.goto(app.local_url)
        yield page
        browser.close()
    app.close()


@pytest.mark.slow
def test_the_page(page, tmp_path):
    bad, good = tmp_path / 'bad.mp4', write_video(tmp_path / 'a.mp4', 60)
    bad.write_bytes(b'no video')
    for path in (bad, good):
        page.reload()
        page.locator('input[type=file]').first.set_input_files(path)
        page.get_by_role('button', name='Predict').click()
        if path is bad:
            page.get_by_text('no video that can be read').wait_for()
    page.locator('video[src$="annotated.mp4"]').wait_for(state='attached')
    with page.expect_download() as download:
        page.locator('a[download="timeline.csv"]').click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == 1 + 4  # 2.4 s, windows of 1 s
    page.get_by_role('tab', name='Camera').click()
    page.get_by_text('Click to Access Webcam').click()
    page.get_by_role('button', name='capture photo').click()
    page.get_by_text('frames: ').wait_for()
    assert not page.foreign


def test_a_long_video_is_refused(predictor, tmp_path):
    path = write_video(tmp_path / 'long.mp4', frames=260)
    with pytest.raises(ClipError, match='10 s'):
        predictor.video(path)


def test_the_camera_equals_the_inferencer(predictor):
    rng = np.random.default_rng(0)
    frames = [
        cv2.resize(rng.integers(0, 256, (8, 8, 3), np.uint8), (64, 48))
        for _ in range(9)
    ]
    found = predictor.camera(frames, 0.9)
    (same,) = predictor.infer.predict(np.stack(frames), window=None)
    np.testing.assert_array_equal(found.scores, same.scores)
