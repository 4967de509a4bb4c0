"""Readers of results, runs and stored configs, given anything at all."""

import contextlib
import csv
import io
import json
from types import SimpleNamespace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from micacl_mm.cli.kfold_runs import Run
from micacl_mm.datasets import DFEWDataset
from micacl_mm.records.protocol import frames_of
from micacl_mm.records.record import read_record, read_runs
from micacl_mm.records.rows import (
    CLASSES,
    COLUMNS,
    read_rows,
)
from micacl_mm.records.training import Training
from micacl_mm.utils.files import check_folder
from micacl_mm.visualization import runs
from tests.sets import touch

from ..records.board_rows import cells
from .profile import bounded, fuzzed

DEEP = b'[' * 100_000
RECORD = dict(
    schema=1,
    classes=list(CLASSES),
    confusion_matrix=torch.eye(7).long().tolist(),
    metrics={'acc/UAR': 1.0, 'acc/WAR': 1.0},
    clips=7,
    seed=0,
    fold=1,
)
KEYS = (
    *RECORD,
    *('config', 'parameters', 'gflops', 'bags_per_second', 'date', 'epoch'),
    *('checkpoint', 'settings', 'trained', 'step', 'loss', 'lr', 'acc/UAR'),
    *('name', 'version', 'level', 'labels', 'type', 'dataset', 'datasets'),
)
LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats()),
    st.sampled_from([0, 1, 2**31, 10**400, -1]),
    st.text(max_size=6),
    st.sampled_from([*CLASSES, 'UAR', '\ud800', '<b>', '1e400', 'a/b']),
)
NAMES = st.one_of(st.sampled_from(KEYS), st.text(max_size=3))
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(NAMES, inner, max_size=5),
    ),
    max_leaves=12,
)
SPOILT = st.dictionaries(
    st.sampled_from(KEYS), JSON, min_size=1, max_size=3
).map(lambda changes: {**RECORD, **changes})


def encoded(values):
    """As JSON, whole or cut off, or any bytes."""
    text = values.map(lambda value: json.dumps(value).encode())
    cut = st.tuples(text, st.integers(0, 40)).map(lambda p: p[0][: p[1]])
    return st.one_of(text, text, cut, st.binary(max_size=60))


def run_in(folder):
    facts = dict(fold=1, seed=0, method='m', config_hash='h')
    return Run(folder, facts, SimpleNamespace(selection='last'))


#: Another line, of files that have several.
LINES = (b'', b'3', b'{"step": 1, "lr": "x"}', b'{"step": 1, "loss": 2}')
#: By the name of a file what reads it; a ValueError is an answer, too.
READERS = {
    'result.json': (
        *(read_record, runs.result_of_run),
        lambda path: read_runs([path.parent]),
    ),
    'run.json': (lambda path: run_in(path.parent).check(),),
    'synthetic.json': (
        lambda path: check_folder('a', path.parent, path.name, {'a': 'x'}),
        lambda path: frames_of(
            DFEWDataset(str(path.parent), [], lazy_init=True)
        ),
    ),
    'vis_data/scalars.json': (
        lambda path: runs.Run(path.parents[1]).scalars(),
    ),
}


@pytest.mark.parametrize('name', READERS)
def test_files_of_json(tmp_path, name):
    @given(encoded(st.one_of(JSON, SPOILT)), st.sampled_from(LINES))
    @example(DEEP, b'')
    @example(b'', b'\xff')
    @example(json.dumps({**RECORD, 'gflops': 10**400}).encode(), b'null')
    @example(b'{"step": 1, "epoch": 1, "loss": 1}', LINES[2])
    @example(b'{"step": 0, "epoch": 1, "loss": null}', b'3')
    @fuzzed(25)
    def files_of_json(content, more):
        touch(tmp_path / name, content + b'\n' + more * ('vis' in name))
        for read in READERS[name]:
            with bounded(), contextlib.suppress(ValueError):
                read(tmp_path / name)

    files_of_json()


def as_table(row):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([COLUMNS, [row[name] for name in COLUMNS]])
    return text.getvalue()


CELLS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ['', '1', '-1', '1e9', 'nan', '100.00', '٣', '[[]]', '\0']
    ),
    JSON.map(json.dumps),
)


def test_tables_of_results(tmp_path):
    """A good row with some cells replaced, once or twice, or any text."""
    path, good = tmp_path / 'synthetic.csv', cells()
    changes = st.dictionaries(st.sampled_from(COLUMNS), CELLS, max_size=3)
    rows = changes.map(lambda c: as_table({**good, **c}).encode())
    doubled = rows.map(lambda t: t + t.split(b'\r\n', 1)[1])

    @given(st.one_of(rows, rows, doubled, st.binary(max_size=80)))
    @example((','.join(COLUMNS) + '\n' + '"' + 'x' * 200_000).encode())
    @example((','.join(COLUMNS) + '\n\0').encode())
    @example(as_table({**good, 'confusion_matrix': '[' * 99_999}).encode())
    @fuzzed(40)
    def tables_of_results(content):
        path.write_bytes(content)
        try:
            with bounded():
                assert isinstance(read_rows(path), list)
        except ValueError as error:
            assert str(path) in str(error)

    tables_of_results()
    path.write_text(as_table(good))
    assert len(read_rows(path)) == 1


def damaged(data, whole):
    """Some of its bytes changed, or its end cut off."""
    whole = bytearray(whole)
    places = st.lists(st.integers(0, len(whole) - 1), max_size=6)
    for place in data.draw(places):
        whole[place] = data.draw(st.integers(0, 255))
    return whole[: data.draw(st.sampled_from([len(whole)] * 3 + [0, 22, 90]))]


def checkpoint():
    file = io.BytesIO()
    torch.save({'state_dict': {'x': torch.zeros(3)}}, file)
    return file.getvalue()


def test_broken_checkpoints(tmp_path):
    path, whole = tmp_path / 'epoch_1.pth', checkpoint()

    @given(st.data(), st.binary(max_size=40))
    @fuzzed(30)
    def broken_checkpoints(data, note):
        path.write_bytes(damaged(data, whole))
        (tmp_path / 'last_checkpoint').write_bytes(note)
        assert run_in(tmp_path).choose() in (None, path)

    broken_checkpoints()
    # Encrypted, or packed in a way that Python cannot undo.
    for place in (6, 8):
        odd = bytearray(whole)
        for start in (b'PK\3\4', b'PK\1\2'):
            odd[odd.find(start) + place + 2 * (start[2] == 1)] = 99
        path.write_bytes(odd)
        assert run_in(tmp_path).choose() is None


@given(JSON, st.dictionaries(st.sampled_from(Training._fields), JSON))
@example(1, {'commits': 3})
@example(1, {'class_counts': [True]})
@fuzzed(40)
def test_facts_stored_in_checkpoints(number, facts):
    meta = dict(seed=number, epoch=number, iter=number, micacl_mm=facts)
    training = Training.from_meta(meta)
    assert isinstance(training.config_hash, str)
    assert isinstance(training.pretraining, str)
    assert isinstance(training.selection('best_x.pth'), str)
    assert isinstance(training.mismatch(object()), str)
