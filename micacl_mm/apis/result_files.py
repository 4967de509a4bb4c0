"""Predictions as files: JSON with everything, CSV for tables."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from micacl_mm.utils.files import write_text
from micacl_mm.version import __version__

from .predictions import ClipPrediction


def write_results(
    folder: Path,
    found: Sequence[ClipPrediction],
    classes: Sequence[str],
    about: Mapping[str, Any],
) -> None:
    """Write predictions.json, predictions.csv and timeline.csv.

    Args:
        folder (Path): Where to.
        found (Sequence[ClipPrediction]): All of a run, also failures.
        classes (Sequence[str]): Names of the K classes.
        about (Mapping): What else the JSON file shall say of the run.

    Raises:
        OSError: They cannot be written; none is there in half.
    """
    whole = dict(
        version=__version__,
        **about,
        classes=list(classes),
        predictions=[p.to_dict() for p in found if p.error is None],
        failures=[p.to_dict() for p in found if p.error is not None],
    )
    text = json.dumps(whole, indent=1, ensure_ascii=False) + '\n'
    write_text(folder / 'predictions.json', text)
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
    _write_table(folder / 'predictions.csv', [*head, 'error'], clips)
    head = ['clip', 'face', 'start', 'end', 'label', *classes]
    _write_table(folder / 'timeline.csv', head, windows)


def _write_table(path: Path, head: list[str], rows: Iterable[list]) -> None:
    """Write a CSV file; four decimals, nothing for the unknown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(head)
    for row in rows:
        writer.writerow(
            f'{cell:.4f}' if isinstance(cell, float) else cell for cell in row
        )
    write_text(path, text.getvalue())
