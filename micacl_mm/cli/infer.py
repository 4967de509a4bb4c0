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
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from micacl_mm.errors import ConfigError
from micacl_mm.options import take_options

from . import KeyValue, add_cfg_options, make_parser
from .launch import add_adjustment, check_checkpoint, limit_threads

if TYPE_CHECKING:
    from micacl_mm.apis import ClipPrediction, DFERInferencer


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options of a model and of what it looks at."""
    add = parser.add_argument
    add('--config', required=True)
    add('--checkpoint', required=True)
    add('--device', help='such as cuda:0 or cpu')
    add(
        '--face',
        default='none',
        help="'centerface', 'haar' or a registered detector; 'none' "
        '(default): the clips are face crops already',
    )
    add_cfg_options(parser)


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser('infer', __doc__)
    add_model(parser)
    add = parser.add_argument
    add('inputs', nargs='+', metavar='VIDEO_OR_FOLDER')
    add('--out', required=True, type=Path, metavar='DIR')
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
    add('--amp', action='store_true', help='mixed precision')
    add_adjustment(parser)
    return parser.parse_args(take_options(argv))


def main(argv: Sequence[str]) -> int:
    """Predict, draw and write; the exit code."""
    arguments = parse_arguments(argv)
    limit_threads()
    from micacl_mm.apis.predictions import write_features, write_results

    out, features = arguments.out, arguments.features
    if features and features.suffix not in ('.npz', '.csv'):
        raise ConfigError(f'--features {features}: must end in .npz or .csv')
    clips = _list_clips(arguments.inputs, out)
    infer = _build(arguments)
    found: list[ClipPrediction] = []
    undrawn, stopped = [], False
    # Names of files; what is written must not be among those of the clips.
    taken = {Path(clip).resolve() for clip in clips}
    try:
        # The faces of a clip come one after the other.
        for _, group in groupby(
            _predict(infer, clips, arguments, found), lambda p: p.number
        ):
            faces = [p for p in group if p.error is None]
            for prediction in faces:
                report(prediction)
            try:
                _draw(faces, arguments, taken)
            except Exception as error:  # the disk, the codec, a frame
                undrawn.append(
                    f'{faces[0].clip}: predicted, not drawn, '
                    f'{type(error).__name__}: {error}'
                )
    except KeyboardInterrupt:
        stopped = True
    finally:
        if found:
            asked = ('config', 'checkpoint', 'face', 'min_seen')
            about = {k: getattr(arguments, k) for k in asked}
            about |= dict(logit_adjust=arguments.logit_adjust, undrawn=undrawn)
            write_results(out, found, infer.classes, about)
            if features:
                write_features(features, found)
    left = passed_over(arguments.inputs, out)
    if left:
        more = f' and {len(left) - 5} more' if len(left) > 5 else ''
        print(f'no video or image by name: {", ".join(left[:5])}{more}')
    failed = [*filter(None, (p.error for p in found)), *undrawn]
    for text in failed:
        print(f'failed: {text}', file=sys.stderr)
    good = [p.number for p in found if not p.error]
    faces = f' ({len(good)} faces)' if len(good) > len({*good}) else ''
    print(
        f'{len({*good})} of {len({p.number for p in found})} clips '
        f'predicted{faces}, see {out}'
    )
    return 130 if stopped else int(bool(failed))


def _list_clips(inputs: Sequence[str], out: Path) -> list[str]:
    """Clips, without what an earlier run has written."""
    from micacl_mm.apis.clips import list_clips

    known = next(p for p in (out, *out.absolute().parents) if p.exists())
    if not (known.is_dir() and os.access(known, os.W_OK)):
        raise ConfigError(f'--out {out}: {known} is no folder to write to')
    own = out.resolve()
    if own.is_dir() and own in [Path(given).resolve() for given in inputs]:
        raise ConfigError(
            f'--out {out} is one of the inputs', 'name another folder'
        )
    found = [
        clip
        for given in inputs
        for clip in list_clips(given)
        if clip == given or own not in Path(clip).resolve().parents
    ]
    if not found:
        raise ConfigError(f'there are no clips but those in {out}')
    return found


def _build(arguments: argparse.Namespace) -> DFERInferencer:
    from micacl_mm.apis import DFERInferencer
    from micacl_mm.apis.loading import read_config
    from micacl_mm.faces import build_detector

    config = read_config(arguments.config)
    config.merge_from_dict(arguments.cfg_options)
    check_checkpoint(arguments.checkpoint)
    face = build_detector(arguments.face, **arguments.face_options)
    return DFERInferencer(
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


def _predict(
    infer: DFERInferencer,
    clips: Sequence[str],
    arguments: argparse.Namespace,
    found: list[ClipPrediction],
) -> Iterator[ClipPrediction]:
    """Predictions as they come; ``found`` keeps them whatever happens."""
    for prediction in infer.predict(
        clips,
        batch_size=arguments.batch_size,
        window=arguments.window or None,
        stride=arguments.stride,
        explained=True,
        fps=arguments.fps,
        features=arguments.features is not None,
    ):
        found.append(prediction)
        yield prediction


def _draw(
    faces: Sequence[ClipPrediction],
    arguments: argparse.Namespace,
    taken: set[Path],
) -> None:
    """Draw the faces of one clip, as far as asked for."""
    video, picture = arguments.video, arguments.picture
    if not faces or not (video or picture):
        return
    from micacl_mm.apis.clips import open_clip
    from micacl_mm.visualization.annotated_video import annotate_video
    from micacl_mm.visualization.clip_picture import plot_prediction

    clip, made = open_clip(faces[0].clip, fps=arguments.fps), []
    if video:
        path = arguments.out / f'{faces[0].name}_annotated.mp4'
        made.append(annotate_video(faces, clip, free_path(path, taken)))
    for prediction in faces if picture else []:
        face = f'_face{prediction.face}' if prediction.face else ''
        name = f'{prediction.name}{face}.{arguments.format}'
        path = free_path(arguments.out / name, taken)
        made.append(plot_prediction(prediction, clip, path))
    print(*(f'  {path}' for path in made), sep='\n', flush=True)


def free_path(path: Path, taken: set[Path]) -> Path:
    """The path, or one like it that this run has not written or read."""
    free, again = path, 1
    while free.resolve() in taken:  # the same name in another folder
        again += 1
        free = path.with_stem(f'{path.stem}_{again}')
    taken.add(free.resolve())
    return free


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
