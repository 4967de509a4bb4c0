"""What MMEngine wrote down while it trained, over resumed sessions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Series(NamedTuple):
    """Values of one quantity.

    Attributes:
        x (list[float]): Epochs, or iterations where the training counts none.
        y (list[float]): Values.
    """

    x: list[float]
    y: list[float]


class Scalars(NamedTuple):
    """The history of one training.

    Attributes:
        unit (str): Of every x, ``'epoch'`` or ``'iteration'``.
        losses (dict[str, Series]): Every term of the training loss.
        rates (dict[str, Series]): Learning rates.
        metrics (dict[str, Series]): ``UAR`` and ``WAR`` on the validation
            split, in [0, 1].
    """

    unit: str
    losses: dict[str, Series]
    rates: dict[str, Series]
    metrics: dict[str, Series]


#: How the two are called by RecallMetric, and by MMAction2's AccMetric.
_METRICS = {
    'UAR': 'UAR',
    'WAR': 'WAR',
    'mean1': 'UAR',
    'top1': 'WAR',
}


def read_scalars(paths: Sequence[Path]) -> Scalars:
    """Join the sessions of one training.

    Where a session repeats what an earlier one had logged already, because it
    resumed from a checkpoint before that or began anew, the later one counts.

    Args:
        paths (Sequence[Path]): ``vis_data/scalars.json``, oldest first.

    Raises:
        ValueError: None of them logged a training iteration.
    """
    train, val = [], []
    for path in paths:
        mine_train, mine_val = _read_session(path)
        if not mine_train:
            continue
        begin = mine_train[0]
        train = [r for r in train if r['step'] < begin['step']] + mine_train
        # Validations stand at the end of an epoch, or behind an iteration.
        first = begin.get('epoch', begin['step'])
        val = [r for r in val if r['x'] < first] + mine_val
    if not train:
        raise ValueError(
            'curves: no training iteration is logged yet; let it train for '
            'longer than the interval of LoggerHook'
        )
    unit = 'epoch' if 'epoch' in train[-1] else 'iteration'
    _place(train, unit)
    return Scalars(
        unit,
        _series(train, {k: k for r in train for k in r if 'loss' in k}),
        _series(train, {k: k for r in train for k in r if _is_rate(k)}),
        _series(
            val,
            {
                k: _METRICS[k.split('/')[-1]]
                for r in val
                for k in r
                if k.split('/')[-1] in _METRICS
            },
        ),
    )


def _is_rate(key: str) -> bool:
    return key.split('.')[-1] == 'lr'  # of several optimizers: name.lr


def _read_session(path: Path) -> tuple[list[dict], list[dict]]:
    """Training and validation records of one file, in their order."""
    train, val = [], []
    text = path.read_text(encoding='utf-8', errors='replace')
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue  # cut off when the process was killed
        if not _is_record(record):
            continue
        if 'loss' in record and record['step'] > 0:
            train.append(record)
        elif train:
            last = train[-1]
            record['x'] = record['step'] if 'epoch' in last else last['step']
            val.append(record)
    return train, val


def _is_record(record: Any) -> bool:
    """Whether a line says where in the training it stands."""
    if not isinstance(record, dict):
        return False
    step, epoch = record.get('step'), record.get('epoch', 1)
    return _is_number(step) and _is_number(epoch) and epoch > 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e15


def _place(train: list[dict], unit: str) -> None:
    """Give each training record its x, at the end of what it averages."""
    if unit == 'iteration':
        for record in train:
            record['x'] = record['step']
        return
    # Exact where the last iteration of an epoch is logged, else a bit short.
    length = max(record['step'] / record['epoch'] for record in train)
    for record in train:
        record['x'] = record['step'] / length


def _series(records: list[dict], names: dict[str, str]) -> dict[str, Series]:
    """Take some keys of the records, under their names."""
    found = {}
    for key, name in sorted(names.items(), key=lambda item: item[1]):
        pairs = [
            (record['x'], record[key])
            for record in records
            if type(record.get(key)) in (int, float)
        ]
        if pairs:
            found[name] = Series(*map(list, zip(*pairs, strict=True)))
    return found
