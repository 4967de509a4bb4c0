"""Decoders of pictures and videos."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from micacl_mm.utils.workers import DIED, run_all

from ..case import Case
from ..finding import Finding, failed, passed, shorten, warned
from ..registry import check
from ..trial import DECODERS, Answer, Trial, try_decoder, write_files

_MODULES = {'decord': 'decord', 'PyAV': 'av'}
_CURES = {
    'OpenCV JPEG': 'pip install --force-reinstall opencv-python==4.11.0.86 '
    'opencv-contrib-python==4.11.0.86',
    'decord': 'pip install --force-reinstall decord==0.6.0',
    'PyAV': 'pip install --force-reinstall av',
}
_CURES['OpenCV video'] = _CURES['OpenCV JPEG']


@check('decoders')
def decoders(case: Case) -> Iterator[Finding]:
    """What decodes pictures and videos really does."""
    wanted = _wanted(case)
    found = {name for name in DECODERS if _is_there(name)}
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder))
        trials = [
            Trial(name, str(files[kind]))
            for name in DECODERS
            for kind in ['picture' if 'JPEG' in name else 'video']
            if name in found and kind in files
        ]
        answers = dict(run_all(trials, try_decoder, 1, _died))
    wrong = {name: reason for name, reason in answers.items() if reason}
    for name, reason in wrong.items():
        rate = failed if name in wanted else warned
        yield rate(f'{name}: {shorten(reason, 200)}', _CURES[name])
    for name in sorted(wanted - found):
        yield failed(
            f'{name} is not installed, and the pipeline decodes with it',
            _CURES[name].replace('--force-reinstall ', ''),
        )
    if 'video' not in files:
        yield warned(
            'OpenCV cannot write a video to try the decoders on',
            'pip install opencv-python==4.11.0.86',
        )
    if not wrong and wanted <= found and 'video' in files:
        absent = [f'{n} is not there' for n in DECODERS if n not in found]
        yield passed(', '.join([*answers, *absent]))


def _is_there(name: str) -> bool:
    return name not in _MODULES or find_spec(_MODULES[name]) is not None


def _wanted(case: Case) -> set[str]:
    """Decoders that the config's pipelines use."""
    wanted = {'OpenCV JPEG'}
    for _, steps in case.pipelines():
        for step in steps:
            wanted |= {'decord'} if 'Decord' in step['type'] else set()
            wanted |= {'PyAV'} if 'PyAV' in step['type'] else set()
            wanted |= (
                {'OpenCV video'} if 'OpenCVInit' in step['type'] else set()
            )
    return wanted


def _died(trial: Trial) -> Answer:
    return Answer(trial.path, DIED)
