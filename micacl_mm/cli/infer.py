"""Predict expressions in videos, folders of frames, and folders of these.

  micacl infer clip.mp4 --config CONFIG --checkpoint FILE --out DIR
  micacl infer talk.mp4 --face centerface --window 4 --video --picture
      --config CONFIG --checkpoint FILE --out DIR
  micacl infer data/my_clips --config CONFIG --checkpoint FILE --out D

Writes to DIR: predictions.json with everything, predictions.csv with a line
for each clip and face, timeline.csv with a line for each window; with --video
NAME_annotated.mp4 with box, bars and timeline drawn on, with --picture
NAME.png that shows frames, instance weights, graph and scores; with
--features FILE the features of every bag.

A clip that cannot be read, or drawn on, is reported with the reason, and the
others are still predicted. The options of the training (--data-root,
--cfg-options) apply where the config needs them.
Exit code: 0; 1 if a clip failed; 2 if nothing could be done; 130 after Ctrl-C,
when what was done by then has been written.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from micacl_mm.errors import ConfigError
from micacl_mm.options import take_options

from . import KeyValue, add_cfg_options, make_parser
from .launch import add_adjustment, check_checkpoint, limit_threads

if TYPE_CHECKING:
    from micacl_mm.apis import ClipPrediction


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser('infer', __doc__)
    add = parser.add_argument
    add('inputs', nargs='+', metavar='VIDEO_OR_FOLDER')
    add('--config', required=True)
    add('--checkpoint', required=True)
    add('--out', required=True, type=Path, metavar='DIR')
    add(
        '--face',
        default='none',
        help="'centerface', 'haar' or a registered detector; 'none' "
        '(default): the clips are face crops already',
    )
    add(
        '--face-options',
        nargs='+',
        action=KeyValue,
        default={},
        metavar='NAME=VALUE',
        help='of the detector',
    )
    add(
        '--margin',
        type=float,
        default=0.15,
        help='room around a found face, as in the crops of the training '
        '(default: 0.15)',
    )
    add('--all-faces', action='store_true', help='not only the main one')
    add(
        '--min-seen',
        type=float,
        default=0.25,
        metavar='SHARE',
        help='leave out windows in which the face is seen in fewer of the '
        'frames (default: 0.25)',
    )
    add(
        '--window',
        type=float,
        default=8.0,
        help='seconds; longer clips get a timeline (default: 8); 0: never',
    )
    add('--stride', type=float, help='seconds (default: half of the window)')
    add('--fps', type=float, help='of folders of frames (default: 25)')
    add('--video', action='store_true', help='annotate it')
    add('--picture', action='store_true', help='explain it')
    add('--format', choices=('png', 'pdf', 'svg'), default='png')
    add(
        '--features',
        type=Path,
        metavar='FILE',
        help='write bag features and instance weights there, .npz or .csv',
    )
    add('--batch-size', type=int, default=8)
    add('--device', help='such as cuda:0 or cpu')
    add('--amp', action='store_true', help='mixed precision')
    add_cfg_options(parser)
    add_adjustment(parser)
    return parser.parse_args(take_options(argv))


class Session:
    """One run of the command."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from micacl_mm.apis import DFERInferencer
        from micacl_mm.apis.loading import read_config
        from micacl_mm.faces import build_detector

        self.arguments = arguments
        self.out: Path = arguments.out
        check_folder(self.out)
        features = arguments.features
        if features and features.suffix not in ('.npz', '.csv'):
            raise ConfigError(
                f'--features {features}: must end in .npz or .csv'
            )
        self.clips = self._list()
        config = read_config(arguments.config)
        config.merge_from_dict(arguments.cfg_options)
        check_checkpoint(arguments.checkpoint)
        face = build_detector(arguments.face, **arguments.face_options)
        self.infer = DFERInferencer(
            config,
            arguments.checkpoint,
            arguments.device,
            arguments.amp,
            face or 'none',
            'all' if arguments.all_faces else 'main',
            arguments.margin,
            arguments.min_seen,
            logit_adjust=arguments.logit_adjust,
            class_counts=arguments.class_counts,
        )
        self.found: list[ClipPrediction] = []
        #: Of clips that were predicted and could not be drawn.
        self.undrawn: list[str] = []
        # Names of written files; those of clips must not be among them.
        self._taken = {Path(clip).resolve() for clip in self.clips}

    def _list(self) -> list[str]:
        """Clips, without what an earlier run has written."""
        from micacl_mm.apis.clips import list_clips

        own, inputs = self.out.resolve(), self.arguments.inputs
        if own.is_dir() and own in [Path(given).resolve() for given in inputs]:
            raise ConfigError(
                f'--out {self.out} is one of the inputs', 'name another folder'
            )
        found = [
            clip
            for given in inputs
            for clip in list_clips(given)
            if clip == given or own not in Path(clip).resolve().parents
        ]
        if not found:
            raise ConfigError(f'there are no clips but those in {self.out}')
        return found

    def run(self) -> bool:
        """Predict and draw; whether Ctrl-C came before the end."""
        arguments, faces = self.arguments, []
        predictions = self.infer.predict(
            self.clips,
            batch_size=arguments.batch_size,
            window=arguments.window or None,
            stride=arguments.stride,
            explained=self.infer.explainable,
            fps=arguments.fps,
            features=arguments.features is not None,
        )
        try:
            for prediction in predictions:
                if faces and faces[0].number != prediction.number:
                    self._show(faces)
                    faces = []
                self.found.append(prediction)
                faces.append(prediction)
            if faces:
                self._show(faces)
        except KeyboardInterrupt:
            return True
        return False

    def _show(self, faces: Sequence[ClipPrediction]) -> None:
        """Print and draw a clip."""
        if faces[0].error is not None:
            return
        for prediction in faces:
            report(prediction)
        try:
            self._draw(faces)
        except Exception as error:  # the disk, the codec, a frame
            self.undrawn.append(
                f'{faces[0].clip}: predicted, not drawn, '
                f'{type(error).__name__}: {error}'
            )

    def _draw(self, faces: Sequence[ClipPrediction]) -> None:
        video, picture = self.arguments.video, self.arguments.picture
        if not (video or picture):
            return
        from micacl_mm.apis.clips import open_clip
        from micacl_mm.visualization.annotated_video import annotate_video
        from micacl_mm.visualization.clip_picture import plot_prediction

        clip, made = open_clip(faces[0].clip, fps=self.arguments.fps), []
        if video:
            path = self._free(f'{faces[0].name}_annotated', '.mp4')
            made.append(annotate_video(faces, clip, path))
        for prediction in faces if picture else []:
            face = f'_face{prediction.face}' if prediction.face else ''
            name = f'{prediction.name}{face}'
            path = self._free(name, f'.{self.arguments.format}')
            made.append(plot_prediction(prediction, clip, path))
        print(*(f'  {path}' for path in made), sep='\n', flush=True)

    def _free(self, name: str, suffix: str) -> Path:
        """A file of that name that this run has not written or read."""
        path, again = self.out / f'{name}{suffix}', 1
        while path.resolve() in self._taken:  # the same in another folder
            again += 1
            path = self.out / f'{name}_{again}{suffix}'
        self._taken.add(path.resolve())
        return path

    def write(self) -> None:
        """Write the files with the results."""
        from micacl_mm.apis.predictions import write_features, write_results

        asked = ('config', 'checkpoint', 'face', 'min_seen', 'logit_adjust')
        about = {name: getattr(self.arguments, name) for name in asked}
        about['undrawn'] = self.undrawn
        write_results(self.out, self.found, self.infer.classes, about)
        if self.arguments.features:
            write_features(self.arguments.features, self.found)


def check_folder(folder: Path) -> None:
    """Check that files can be written there."""
    known = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not (known.is_dir() and os.access(known, os.W_OK)):
        raise ConfigError(f'--out {folder}: {known} is no folder to write to')


def passed_over(inputs: Sequence[str], out: Path) -> list[str]:
    """Files in folders that are no clips by their names, such as GIFs."""
    from micacl_mm.utils.folders import is_image, is_video, walk

    own, left = out.resolve(), []
    for folder in (f for given in inputs for f in walk(given)):
        folder.folders[:] = [
            e for e in folder.folders if Path(e.path).resolve() != own
        ]
        names = [entry.name for entry in folder.files]
        left += [n for n in names if not is_video(n) and not is_image(n)]
    return sorted(left)


def report(prediction: ClipPrediction) -> None:
    """Print a line."""
    face = '' if prediction.face is None else f', face {prediction.face}'
    missed = len(prediction.frames_without_face)
    lost = f', no face in {missed} frames' if missed else ''
    print(
        f'{prediction.clip}{face}: {prediction.label} '
        f'{100 * prediction.scores.max():.0f} % '
        f'({prediction.frames} frames, {prediction.seconds:.1f} s{lost})',
        flush=True,
    )


def main(argv: Sequence[str]) -> int:
    """Predict and write; the exit code."""
    arguments = parse_arguments(argv)
    limit_threads()
    session = Session(arguments)
    try:
        stopped = session.run()
    finally:
        if session.found:
            session.write()
    left = passed_over(arguments.inputs, arguments.out)
    if left:
        more = f' and {len(left) - 5} more' if len(left) > 5 else ''
        print(f'no video or image by name: {", ".join(left[:5])}{more}')
    failed = [p.error for p in session.found if p.error]
    for text in [*failed, *session.undrawn]:
        print(f'failed: {text}', file=sys.stderr)
    good = [p for p in session.found if not p.error]
    clips, done = ({p.number for p in ps} for ps in (session.found, good))
    faces = f' ({len(good)} faces)' if len(good) > len(done) else ''
    print(
        f'{len(done)} of {len(clips)} clips predicted{faces}, see '
        f'{arguments.out}'
    )
    return 130 if stopped else int(bool(failed or session.undrawn))
