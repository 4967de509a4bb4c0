"""Rows made up for tests: no training was run for any of them."""

import json

from micacl_mm.records.rows import CLASSES, COLUMNS, ResultRow

SETTINGS = dict(
    dataset='synthetic-v2-medium',  # a version of unknown test clips
    method='made up',
    pretraining='none',
    fold='1',
    seed='0',
    selection='val',
    epoch='3',
    max_epochs='9',
    val_ratio='0.1',
    sampling='16 frames, no chance',
    config_hash='0123456789',
    processes='1',
    commit='abcdef1',
)


def cells(hits=10, totals=20, **changes):
    """A good row; ``hits`` of ``totals`` clips, one number or one a class.

    What is missed is taken for the next class, with other seeds for others.
    """
    hits = [hits] * 7 if isinstance(hits, int) else hits
    totals = [totals] * 7 if isinstance(totals, int) else totals
    matrix = [[0] * 7 for _ in range(7)]
    seed = changes.get('seed', '0')
    shift = 1 + int(seed) % 6 if seed.isdecimal() else 1
    row = dict.fromkeys(COLUMNS, '')
    recalls = []
    for i, (hit, total) in enumerate(zip(hits, totals, strict=True)):
        matrix[i][i] = hit
        matrix[i][(i + shift) % 7] = total - hit
        if total:
            recalls.append(100 * hit / total)
            row[f'recall_{CLASSES[i]}'] = f'{recalls[-1]:.2f}'
    row |= SETTINGS
    row['UAR'] = f'{sum(recalls) / len(recalls):.2f}'
    row['WAR'] = f'{100 * sum(hits) / sum(totals):.2f}'
    row['clips'] = str(sum(totals))
    row['confusion_matrix'] = json.dumps(matrix, separators=(',', ':'))
    return row | changes


def rows_of(*found, group='synthetic'):
    return [
        ResultRow(row, f'{group}.csv:{i}', group)
        for i, row in enumerate(found, start=2)
    ]
