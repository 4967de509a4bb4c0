"""Predict in the browser: upload a video, or use the camera.

  micacl app --config CONFIG --checkpoint FILE [--face centerface]

Serves this machine only (--host 0.0.0.0 opens it to the network). Videos stay
on this machine, in a temporary folder that is removed at the end. Needs
Gradio: pip install '.[app]'.
"""

import argparse
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from micacl_mm.apis import ClipError, ClipPrediction, DFERInferencer
from micacl_mm.apis.clips import open_clip
from micacl_mm.apis.loading import read_config
from micacl_mm.apis.predictions import write_results
from micacl_mm.cli import make_parser
from micacl_mm.cli.infer import add_model
from micacl_mm.cli.launch import limit_threads
from micacl_mm.errors import ConfigError, DependencyError
from micacl_mm.options import take_options
from micacl_mm.visualization.annotated_video import annotate_video
from micacl_mm.visualization.clip_picture import plot_prediction

#: Names of the written tables.
FILES = ('predictions.json', 'predictions.csv', 'timeline.csv')
_STEP = 0.2  # seconds from camera frame to camera frame


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser('app', __doc__)
    add_model(parser)
    add = parser.add_argument
    add('--host', default='127.0.0.1', help='default: this machine only')
    add('--port', type=int, default=7860)
    add('--max-seconds', type=float, default=120.0, help='default: 120')
    add('--max-megabytes', type=int, default=200, help='default: 200')
    add(
        '--window',
        type=float,
        default=2.0,
        help='seconds that a prediction looks at (default: 2)',
    )
    return parser.parse_args(take_options(argv))


class Predictor:
    """What the page asks for, from several threads.

    Results go to ``folder``, one folder a video. A prediction looks at
    ``window`` seconds; videos above ``max_seconds`` are refused.
    """

    def __init__(
        self,
        infer: DFERInferencer,
        folder: Path,
        window: float,
        max_seconds: float,
    ) -> None:
        self.infer = infer
        self.folder = folder
        self.window = window
        self.max_seconds = max_seconds
        self._one_by_one = threading.Lock()  # as all set infer.faces

    def video(self, path: str, all_faces: bool = False) -> dict[str, Any]:
        """Predict on a video.

        Returns:
            dict: ``predictions``, one a face, the ``video`` with boxes,
            scores and timeline, ``pictures`` that explain the predictions,
            and the ``files`` for download.

        Raises:
            ClipError: It cannot be read, is too long, or holds no face.
        """
        clip = open_clip(path)
        if clip.duration > self.max_seconds:
            raise ClipError(
                f'the video takes {clip.duration:.0f} s, more than '
                f'{self.max_seconds:.0f} s',
                'cut it, or start the app with a larger --max-seconds',
            )
        with self._one_by_one:
            self.infer.faces = 'all' if all_faces else 'main'
            faces = list(
                self.infer.predict(path, window=self.window, explained=True)
            )
        if faces[0].error is not None:
            raise ClipError(faces[0].error.replace(path, Path(path).name))
        out = Path(tempfile.mkdtemp(dir=self.folder))
        write_results(out, faces, self.infer.classes, {})
        return dict(
            predictions=faces,
            video=annotate_video(faces, clip, out / 'annotated.mp4'),
            pictures=[
                plot_prediction(face, clip, out / f'face{face.face or 0}.png')
                for face in faces
            ],
            files=[out / name for name in FILES],
        )

    def camera(
        self, frames: Sequence[np.ndarray], seconds: float
    ) -> ClipPrediction:
        """Predict on the last frames of a camera, (H, W, 3) RGB uint8."""
        fps = len(frames) / max(seconds, 1e-3)
        with self._one_by_one:
            self.infer.faces = 'main'
            (found,) = self.infer.predict(
                np.stack(frames), window=None, fps=fps
            )
        return found


def rows_of(faces: Sequence[ClipPrediction]) -> Iterator[list]:
    """Yield a row for each window: face, start, end, class, score."""
    for face in faces:
        for bag in face.bags:
            label, score = '-', None
            if bag.scores is not None:
                label = face.classes[int(bag.scores.argmax())]
                score = round(100 * float(bag.scores.max()), 1)
            times = round(bag.start, 2), round(bag.end, 2)
            yield [face.face or 0, *times, label, score]


def serve(
    predictor: Predictor,
    host: str = '127.0.0.1',
    port: Optional[int] = None,
    max_megabytes: int = 200,
    block: bool = True,
) -> Any:
    """Serve the page, by default to this machine only, at a free port.

    Returns:
        gradio.Blocks: The page, with ``local_url`` and ``close()``, at once
        where ``block`` is False, else after Ctrl-C.
    """
    import gradio as gr

    def scores(found: ClipPrediction) -> dict[str, float]:
        return dict(zip(found.classes, map(float, found.scores), strict=True))

    def predict(path: Optional[str], all_faces: bool) -> list:
        if path is None:
            raise gr.Error('Upload or record a video first.')
        try:
            found = predictor.video(path, all_faces)
        except (ClipError, ConfigError) as error:
            raise gr.Error(str(error)) from None
        faces = found['predictions']
        return [
            scores(faces[0]),
            str(found['video']),
            [str(picture) for picture in found['pictures']],
            list(rows_of(faces)),
            [str(path) for path in found['files']],
        ]

    def note(image: Optional[np.ndarray], seen: deque) -> None:
        """Keep the camera frames of the window."""
        now = time.monotonic()
        if image is None or seen and seen[-1][1].shape != image.shape:
            seen.clear()
        if image is not None:
            seen.append((now, image))
        while seen and now - seen[0][0] > predictor.window:
            seen.popleft()

    def look(seen: deque) -> tuple:
        """Predict on the camera frames of the window."""
        recent = seen.copy()
        if not recent:
            return None, ''
        seconds = recent[-1][0] - recent[0][0]
        found = predictor.camera([image for _, image in recent], seconds)
        if found.error is not None:
            return None, 'no face'
        return scores(found), f'frames: {len(recent)}'

    with gr.Blocks(title='micacl_mm', analytics_enabled=False) as page:
        gr.Markdown('# Facial expressions in video')
        with gr.Tab('Video'), gr.Row():
            with gr.Column():
                video = gr.Video(label='Video', sources=['upload', 'webcam'])
                all_faces = gr.Checkbox(label='All faces')
                button = gr.Button('Predict', variant='primary')
                label = gr.Label(label='Main face, whole video')
                files = gr.Files(label='Results')
            with gr.Column():
                drawn = gr.Video(label='Timeline', interactive=False)
                pictures = gr.Gallery(
                    label='Explanation', columns=1, object_fit='contain'
                )
                names = ['face', 'start', 'end', 'class', '%']
                table = gr.Dataframe(headers=names, label='Windows')
            results = [label, drawn, pictures, table, files]
            button.click(predict, [video, all_faces], results)
        with gr.Tab('Camera'), gr.Row():
            camera = gr.Image(
                label='Camera', sources=['webcam'], streaming=True
            )
            with gr.Column():
                live = gr.Label(label=f'Last {predictor.window:g} s')
                status = gr.Markdown()
            seen = gr.State(deque())
            camera.stream(
                note,
                [camera, seen],
                stream_every=_STEP,
                show_progress='hidden',
            )
            gr.Timer(1.0).tick(
                look, seen, [live, status], show_progress='hidden'
            )
    page.queue(default_concurrency_limit=1)
    page.launch(
        server_name=host,
        server_port=port,
        max_file_size=f'{max_megabytes}mb',
        allowed_paths=[str(predictor.folder)],
        footer_links=[],
        # No fonts from another host.
        theme=gr.themes.Default(font=['sans-serif'], font_mono=['monospace']),
        prevent_thread_lock=not block,
    )
    return page


def main(argv: Sequence[str]) -> int:
    """Serve the page until Ctrl-C; the exit code."""
    arguments = parse_arguments(argv)
    os.environ.setdefault('GRADIO_ANALYTICS_ENABLED', 'False')
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise DependencyError(
            'the app needs Gradio', "run: pip install '.[app]'"
        ) from None
    limit_threads()
    config = read_config(arguments.config)
    config.merge_from_dict(arguments.cfg_options)
    infer = DFERInferencer(
        config,
        arguments.checkpoint,
        arguments.device,
        face=arguments.face,
        show_progress=False,
    )
    with tempfile.TemporaryDirectory(prefix='micacl_app_') as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder
        predictor = Predictor(
            infer, Path(folder), arguments.window, arguments.max_seconds
        )
        serve(
            predictor, arguments.host, arguments.port, arguments.max_megabytes
        )
    return 0
