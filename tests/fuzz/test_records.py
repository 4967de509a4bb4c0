"""Readers of results, runs and stored configs, given anything at all."""

import contextlib
import csv
import io
import json
import zipfile
from types import SimpleNamespace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from micacl_mm.cli.kfold_runs import Run
from micacl_mm.datasets import DFEWDataset
from micacl_mm.faces.crop_set import check_folder
from micacl_mm.records.protocol import frames_of
from micacl_mm.records.record import read_record, read_runs
from micacl_mm.records.rows import (
    CLASSES,
    COLUMNS,
    read_rows,
)
from micacl_mm.records.training import Training
from micacl_mm.synthetic.benchmark import label_digest
from micacl_mm.synthetic.writer import read_marker
from micacl_mm.visualization import runs

from ..records.board_rows import cells
from .profile import fuzzed

DEEP = b'[' * 100_000
KEYS = (
    *('schema', 'classes', 'confusion_matrix', 'metrics', 'config', 'fold'),
    *('seed', 'parameters', 'gflops', 'bags_per_second', 'date', 'epoch'),
    *('checkpoint', 'settings', 'trained', 'step', 'loss', 'lr', 'acc/UAR'),
    *('name', 'version', 'level', 'labels', 'type', 'dataset', 'datasets'),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, 2**31, 10**400, -1]),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from([*CLASSES, 'UAR', '\ud800', '<b>', '1e400', 'a/b']),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(KEYS), st.text(max_size=3)),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)


def good_record():
    matrix = [[int(i == j) for i in range(7)] for j in range(7)]
    return dict(
        schema=1,
        classes=list(CLASSES),
        confusion_matrix=matrix,
        metrics={'acc/UAR': 1.0, 'acc/WAR': 1.0},
        clips=7,
        seed=0,
        fold=1,
    )


def spoil(record):
    """A good one in which something is something else."""
    return st.dictionaries(
        st.sampled_from([*record, *KEYS]), JSON, min_size=1, max_size=3
    ).map(lambda changes: {**record, **changes})


def encoded(values):
    """As JSON, whole or cut off, or any bytes."""
    text = values.map(lambda value: json.dumps(value).encode())
    cut = st.tuples(text, st.integers(0, 40)).map(lambda p: p[0][: p[1]])
    return st.one_of(text, text, cut, st.binary(max_size=60))


@given(encoded(st.one_of(JSON, spoil(good_record()))))
@example(DEEP)
@example(b'')
@example(b'\xff')
@example(json.dumps(good_record()).encode())
@example(json.dumps({**good_record(), 'gflops': 10**400}).encode())
@fuzzed(60)
def test_records_of_runs(tmp_path_factory, content):
    folder = folder_of(tmp_path_factory, 'record')
    path = folder / 'result.json'
    path.write_bytes(content)
    for read in (
        read_record,
        runs.result_of_run,
        lambda _: read_runs([folder]),
    ):
        with contextlib.suppress(ValueError):
            read(path)


_folders = {}


def folder_of(factory, name):
    """One folder for all examples of a property."""
    if name not in _folders:
        _folders[name] = factory.mktemp(name)
    return _folders[name]


def as_table(columns, row):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerow([row[name] for name in columns])
    return text.getvalue()


CELLS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ['', '1', '-1', '1e9', 'nan', '100.00', '٣', '[[]]', '\0']
    ),
    JSON.map(json.dumps),
)


def tables(columns, good):
    """A good row with some cells replaced, or any text."""
    changes = st.dictionaries(st.sampled_from(columns), CELLS, max_size=3)
    rows = changes.map(lambda c: as_table(columns, {**good, **c}).encode())
    doubled = rows.map(lambda t: t + t.split(b'\r\n', 1)[1])
    return st.one_of(rows, rows, doubled, st.binary(max_size=80))


@given(tables(COLUMNS, cells()))
@example(as_table(COLUMNS, cells()).encode())
@example((','.join(COLUMNS) + '\n' + '"' + 'x' * 200_000).encode())
@example((','.join(COLUMNS) + '\n\0').encode())
@example(as_table(COLUMNS, cells(confusion_matrix='[' * 100_000)).encode())
@fuzzed(80)
def test_tables_of_results(tmp_path_factory, content):
    path = folder_of(tmp_path_factory, 'tables') / 'synthetic.csv'
    path.write_bytes(content)
    try:
        rows = read_rows(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert isinstance(rows, list)


def run_in(folder):
    facts = dict(fold=1, seed=0, settings={'train_cfg': {'max_epochs': 4}})
    facts |= dict(method='m', config_hash='h')
    return Run(folder, facts, SimpleNamespace(selection='last'))


@given(encoded(JSON), st.binary(max_size=40))
@example(DEEP, b'')
@example(b'[]', b'\xff')
@example(b'null', b'epoch_' + b'9' * 5000 + b'.pth')
@example(b'{}', b'a\0b')
@fuzzed(50)
def test_folders_of_kfold(tmp_path_factory, content, note):
    folder = folder_of(tmp_path_factory, 'kfold')
    (folder / 'run.json').write_bytes(content)
    (folder / 'last_checkpoint').write_bytes(note)
    run = run_in(folder)
    with contextlib.suppress(ValueError):
        run.check()
    assert run.choose() is None


def a_checkpoint():
    """Its bytes."""
    file = io.BytesIO()
    torch.save({'state_dict': {'x': torch.zeros(3)}}, file)
    return file.getvalue()


@given(st.data())
@fuzzed(60)
def test_broken_checkpoints(tmp_path_factory, data):
    folder = folder_of(tmp_path_factory, 'checkpoints')
    whole = bytearray(a_checkpoint())
    for place in data.draw(
        st.lists(st.integers(0, len(whole) - 1), max_size=6)
    ):
        whole[place] = data.draw(st.integers(0, 255))
    length = data.draw(st.sampled_from([len(whole), len(whole), 0, 22, 300]))
    (folder / 'epoch_1.pth').write_bytes(whole[:length])
    assert run_in(folder).choose() in (None, folder / 'epoch_1.pth')


@pytest.mark.parametrize('place', [6, 8])
@pytest.mark.parametrize('value', [1, 99])
def test_checkpoints_of_other_zips(tmp_path, place, value):
    # Encrypted, or packed in a way that Python cannot undo.
    whole = bytearray(a_checkpoint())
    for start in (b'PK\3\4', b'PK\1\2'):
        at = whole.find(start)
        whole[at + place + (2 if start[2] == 1 else 0)] = value
    (tmp_path / 'epoch_1.pth').write_bytes(whole)
    assert run_in(tmp_path).choose() is None


@given(st.data())
@fuzzed(60)
def test_broken_workbooks(tmp_path_factory, data):
    folder = folder_of(tmp_path_factory, 'books')
    splits = folder / 'EmoLabel_DataSplit'
    for part in ('train', 'test'):
        (splits / f'{part}(single-labeled)').mkdir(parents=True, exist_ok=True)
        (splits / f'{part}(single-labeled)/set_1.csv').write_text('1,1\n')
    file = io.BytesIO()
    kind = data.draw(st.sampled_from([0, 8, 12, 14]))
    with zipfile.ZipFile(file, 'w', kind) as book:
        book.writestr('a.xml', 'x' * 50)
        book.writestr('b.xml', 'y' * 50)
    whole = bytearray(file.getvalue())
    for place in data.draw(
        st.lists(st.integers(0, len(whole) - 1), max_size=6)
    ):
        whole[place] = data.draw(st.integers(0, 255))
    path = folder / 'Annotation/annotation.xlsx'
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(whole[: data.draw(st.integers(0, 2 * len(whole)))])
    digest = label_digest(folder, (1,))
    assert digest is None or len(digest) == 64


def test_a_workbook_that_unpacks_to_much_is_not_unpacked(tmp_path):
    for part in ('train', 'test'):
        split = tmp_path / f'EmoLabel_DataSplit/{part}(single-labeled)'
        split.mkdir(parents=True)
        (split / 'set_1.csv').write_text('1,1\n')
    (tmp_path / 'Annotation').mkdir()
    path = tmp_path / 'Annotation/annotation.xlsx'
    with (
        zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as book,
        book.open('a.xml', 'w') as stream,
    ):
        for _ in range(80):
            stream.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    assert label_digest(tmp_path, (1,)) is None


@given(encoded(JSON))
@example(DEEP)
@example(b'{"settings": {}}')
@fuzzed(40)
def test_markers(tmp_path_factory, content):
    folder = folder_of(tmp_path_factory, 'markers')
    for name in ('synthetic.json', 'benchmark.json', 'crop_faces.json'):
        (folder / name).write_bytes(content)
    read_marker(folder)
    frames_of(DFEWDataset(str(folder), [], lazy_init=True))
    with contextlib.suppress(ValueError):
        check_folder(folder, {'detector': 'x'})


LINE = st.one_of(
    st.fixed_dictionaries(
        {'step': LEAVES, 'loss': LEAVES},
        optional={'epoch': LEAVES, 'lr': LEAVES, 'acc/UAR': LEAVES},
    ),
    JSON,
)


@given(st.lists(encoded(LINE), max_size=5))
@example([DEEP])
@example([b'{"step": 1, "epoch": 0, "loss": 1}'])
@example([b'{"step": 1, "epoch": 1, "loss": 1}', b'{"step": 1, "acc/UAR": 1}'])
@example([b'{"step": 0, "epoch": 1, "loss": null}'])
@example([b'{"step": 1, "loss": 1, "lr": "x"}', b'3', b'{"loss": 1}'])
@fuzzed(50)
def test_logs_of_trainings(tmp_path_factory, lines):
    folder = folder_of(tmp_path_factory, 'logs')
    path = folder / 'vis_data' / 'scalars.json'
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b'\n'.join(lines))
    with contextlib.suppress(ValueError):
        runs.Run(folder).scalars()


@given(JSON, st.dictionaries(st.sampled_from(Training._fields), JSON))
@example(1, {'commits': 3})
@example(1, {'class_counts': [True]})
@fuzzed(100)
def test_facts_stored_in_checkpoints(number, facts):
    meta = dict(seed=number, epoch=number, iter=number, micacl_mm=facts)
    training = Training.from_meta(meta)
    assert isinstance(training.config_hash, str)
    assert isinstance(training.pretraining, str)
    assert isinstance(training.selection('best_x.pth'), str)
    assert isinstance(training.mismatch(object()), str)


def test_a_good_row_and_record_are_read(tmp_path):
    (tmp_path / 'synthetic.csv').write_text(as_table(COLUMNS, cells()))
    assert len(read_rows(tmp_path / 'synthetic.csv')) == 1
    (tmp_path / 'result.json').write_text(json.dumps(good_record()))
    assert runs.result_of_run(tmp_path / 'result.json').classes == tuple(
        CLASSES
    )
