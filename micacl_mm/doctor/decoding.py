"""Decode clips on several processes; stopped, it goes on where it was."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Optional

from micacl_mm.utils.workers import DIED, run_all

from .clip_files import ClipFiles
from .clip_report import ClipReport, decode_clip

_SCHEMA = 1


def decode_clips(
    clips: Sequence[ClipFiles], workers: int, state: Optional[Path]
) -> list[ClipReport]:
    """Decode clips, and note each that is done.

    Args:
        clips (Sequence[ClipFiles]): The clips.
        workers (int): Processes.
        state (Path, optional): File of notes, a line of JSON for each clip.
            Clips that stand there and have not changed since are not decoded
            again.

    Returns:
        list[ClipReport]: Of each clip, in an order of its own.
    """
    known = _read(state) if state else {}
    reports, waiting = [], []
    for clip in clips:
        noted = known.get(clip.path)
        if noted and noted[0] == _fingerprint(clip):
            reports.append(noted[1])
        else:
            waiting.append(clip)
    prints = {clip.path: _fingerprint(clip) for clip in waiting}
    start, begun = time.monotonic(), len(reports)
    with _Notes(state) as note:
        for report in _decode(waiting, workers):
            reports.append(report)
            note(prints[report.path], report)
            _progress(len(reports) - begun, len(waiting), begun, start)
    return reports


def _decode(clips: Sequence[ClipFiles], workers: int) -> Iterator[ClipReport]:
    if not clips:
        return
    with closing(run_all(clips, decode_clip, workers, _died)) as done:
        yield from done


def _died(clip: ClipFiles) -> ClipReport:
    return ClipReport(clip.path, [DIED])


def _fingerprint(clip: ClipFiles) -> list[int]:
    return [len(clip.sizes), sum(clip.sizes), clip.changed]


def _read(state: Path) -> dict[str, tuple[list[int], ClipReport]]:
    """Notes of an earlier run; a line that was cut off is none."""
    known = {}
    try:
        lines = state.read_text(encoding='utf-8').splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return {}
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            note = json.loads(line)
            if note.pop('schema') == _SCHEMA:
                fingerprint = note.pop('fingerprint')
                known[note['path']] = fingerprint, ClipReport(**note)
    return known


class _Notes:
    """Appends notes to the file of an earlier run."""

    def __init__(self, state: Optional[Path]) -> None:
        self.state, self.file = state, None

    def __enter__(self):
        if self.state:
            self.state.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(self.state, 'a', encoding='utf-8')
        return self

    def __exit__(self, *_) -> None:
        if self.file:
            self.file.close()

    def __call__(self, fingerprint: list[int], report: ClipReport) -> None:
        if self.file:
            note = dict(schema=_SCHEMA, fingerprint=fingerprint)
            line = json.dumps({**note, **asdict(report)})
            # In front too: the last line of a killed run may be half.
            self.file.write(f'\n{line}\n')
            self.file.flush()


def _progress(done: int, total: int, before: int, start: float) -> None:
    live = sys.stderr.isatty()
    if done % (10 if live else 500) and (done < total or not live):
        return
    rate = done / max(time.monotonic() - start, 1e-3)
    left = timedelta(seconds=round((total - done) / rate))
    text = f'decoded {before + done}/{before + total} clips, {left} left'
    end = '\r' if live and done < total else '\n'
    print(f'{text:<70}', end=end, file=sys.stderr, flush=True)
