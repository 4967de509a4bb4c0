"""Predict expressions in videos, folders of frames, and folders of these.

  python tools/infer.py clip.mp4 --config CONFIG --checkpoint FILE --out DIR
  python tools/infer.py talk.mp4 --face centerface --window 4 --video --picture
      --config CONFIG --checkpoint FILE --out DIR
  python tools/infer.py data/my_clips --config CONFIG --checkpoint FILE --out D

Writes to DIR: predictions.json with everything, predictions.csv with a line
for each clip and face, timeline.csv with a line for each window; with --video
NAME.mp4 with box, bars and timeline drawn on, with --picture NAME.png that
shows frames, instance weights, graph and scores.

A clip that cannot be read is named with the reason, and the others go on.
Exit code: 0; 1 if a clip failed; 2 if nothing could be done; 130 after Ctrl-C,
when what was done by then has been written.
"""

import argparse
import csv
import io
import json
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Optional

from micacl_mm import __version__
from micacl_mm.apis import ClipPrediction, DFERInferencer
from micacl_mm.apis.clips import open_clip
from micacl_mm.engine.launch import limit_threads
from micacl_mm.leaderboard.files import write_text
from micacl_mm.visualization.annotated_video import annotate_video
from micacl_mm.visualization.clip_picture import plot_prediction

#: Short names of detectors on the command line.
FACES = {'centerface': 'CenterFaceDetector', 'haar': 'HaarFaceDetector'}


def parse_arguments(argv: Optional[Sequence[str]]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('inputs', nargs='+', metavar='VIDEO_OR_FOLDER')
    parser.add_argument('--config', required=True)
    parser.add_argument('--checkpoint', required=True)
    parser.add_argument('--out', required=True, type=Path, metavar='DIR')
    parser.add_argument(
        '--face',
        default='none',
        help="'centerface', 'haar' or a registered detector; 'none' "
        '(default): the clips are face crops already',
    )
    parser.add_argument(
        '--all-faces', action='store_true', help='not only the main one'
    )
    parser.add_argument(
        '--window',
        type=float,
        default=8.0,
        help='seconds; longer clips get a timeline (default: 8); 0: never',
    )
    parser.add_argument(
        '--stride', type=float, help='seconds (default: half of the window)'
    )
    parser.add_argument(
        '--fps', type=float, help='of folders of frames (default: 25)'
    )
    parser.add_argument('--video', action='store_true', help='annotate it')
    parser.add_argument('--picture', action='store_true', help='explain it')
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--device', help='such as cuda:0 or cpu')
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Predict and write; the exit code."""
    arguments = parse_arguments(argv)
    limit_threads()
    try:
        infer = DFERInferencer(
            arguments.config,
            arguments.checkpoint,
            arguments.device,
            arguments.amp,
            FACES.get(arguments.face, arguments.face),
            'all' if arguments.all_faces else 'main',
        )
        found, stopped = predict(infer, arguments)
    except (OSError, ValueError, ImportError, KeyError) as error:
        print(f'infer: {error}', file=sys.stderr)
        return 2
    write_results(found, infer.classes, arguments)
    failures = [prediction for prediction in found if prediction.error]
    for failure in failures:
        print(f'failed: {failure.error}', file=sys.stderr)
    done = len(found) - len(failures)
    print(f'{done} of {len(found)} predicted, see {arguments.out}')
    return 130 if stopped else int(bool(failures))


def predict(
    infer: DFERInferencer, arguments: argparse.Namespace
) -> tuple[list[ClipPrediction], bool]:
    """All predictions, and whether Ctrl-C came before the end."""
    found: list[ClipPrediction] = []
    names: set[str] = set()
    predictions = infer.predict(
        arguments.inputs,
        batch_size=arguments.batch_size,
        window=arguments.window or None,
        stride=arguments.stride,
        explained=True,
        fps=arguments.fps,
    )
    try:
        for _, group in groupby(predictions, key=lambda p: p.number):
            faces = list(group)
            found += faces
            if faces[0].error is None:
                report(faces)
                draw(faces, names, arguments)
    except KeyboardInterrupt:
        return found, True
    return found, False


def report(faces: Sequence[ClipPrediction]) -> None:
    """Print a line for each face of a clip."""
    for prediction in faces:
        face = '' if prediction.face is None else f', face {prediction.face}'
        missed = len(prediction.frames_without_face)
        lost = f', no face in {missed} frames' if missed else ''
        print(
            f'{prediction.clip}{face}: {prediction.label} '
            f'{100 * prediction.scores.max():.0f} % '
            f'({prediction.frames} frames, {prediction.seconds:.1f} s{lost})',
            flush=True,
        )


def draw(
    faces: Sequence[ClipPrediction],
    names: set[str],
    arguments: argparse.Namespace,
) -> None:
    """Make the pictures of a clip that were asked for."""
    if not (arguments.video or arguments.picture):
        return
    name, again = faces[0].name, 1
    while name in names:  # the same in another folder
        again += 1
        name = f'{faces[0].name}_{again}'
    names.add(name)
    clip = open_clip(faces[0].clip, fps=arguments.fps)
    made = []
    if arguments.video:
        made.append(annotate_video(faces, clip, arguments.out / f'{name}.mp4'))
    if arguments.picture:
        for prediction in faces:
            face = f'_face{prediction.face}' if prediction.face else ''
            path = arguments.out / f'{name}{face}.png'
            made.append(plot_prediction(prediction, clip, path))
    print(*(f'  {path}' for path in made), sep='\n', flush=True)


def write_results(
    found: Sequence[ClipPrediction],
    classes: Sequence[str],
    arguments: argparse.Namespace,
) -> None:
    """Write predictions.json, predictions.csv and timeline.csv."""
    whole = dict(
        version=__version__,
        config=arguments.config,
        checkpoint=arguments.checkpoint,
        face=arguments.face,
        classes=list(classes),
        predictions=[p.to_dict() for p in found if p.error is None],
        failures=[p.to_dict() for p in found if p.error is not None],
    )
    text = json.dumps(whole, indent=1, ensure_ascii=False) + '\n'
    write_text(arguments.out / 'predictions.json', text)
    clips, windows = [], []
    for p in found:
        first = [p.clip, p.face]
        scores = [None] * len(classes) if p.error else [*p.scores]
        clips.append(
            [*first, p.label, *scores, p.frames, p.fps, p.seconds, p.error]
        )
        for bag in p.bags if p.error is None else []:
            known = bag.to_dict(classes)
            scores = known['scores'] or dict.fromkeys(classes)
            times = [known['start'], known['end'], known['label']]
            windows.append([*first, *times, *scores.values()])
    head = ['clip', 'face', 'label', *classes, 'frames', 'fps', 'seconds']
    write_table(arguments.out / 'predictions.csv', [*head, 'error'], clips)
    head = ['clip', 'face', 'start', 'end', 'label', *classes]
    write_table(arguments.out / 'timeline.csv', head, windows)


def write_table(path: Path, head: list[str], rows: list[list]) -> None:
    """Write a CSV file; four decimals, nothing for the unknown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(head)
    for row in rows:
        writer.writerow(
            f'{cell:.4f}' if isinstance(cell, float) else cell for cell in row
        )
    write_text(path, text.getvalue())


if __name__ == '__main__':
    sys.exit(main())
