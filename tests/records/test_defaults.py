"""What committed rows rely on: hashes of configs, and defaults behind them."""

import inspect
import re
import shlex
from argparse import ArgumentParser

import pytest
from mmengine.config import DictAction

from micacl_mm.records.board import build_board
from micacl_mm.records.config_hash import config_hash
from micacl_mm.records.rows import read_folder, read_rows
from micacl_mm.registry import MODELS, TRANSFORMS
from tools.dev.board import REFERENCES

from .methods import FOLDER, load

DEFAULTS = {
    'BagDataPreprocessor': dict(num_instances=4, format_shape='NCTHW'),
    'FrameBackbone': dict(pooling='mean', frozen=False),
    'GEIIM': dict(
        num_instances=4,
        nodes='instances',
        embed_dims=None,
        depth=1,
        alpha=0.7,
        kernel_sizes=None,
        weight_source='linear',
        zero_init=True,
    ),
    'LongTailCrossEntropyLoss': dict(
        class_counts=None,
        class_weight='none',
        logit_adjustment=0.0,
        gamma=0.0,
        loss_weight=1.0,
    ),
    'MCCLLoss': dict(
        class_counts=None,
        scales=(1, 2, 4),
        form='log',
        temperature=0.07,
        temperature_mode='global',
        class_weight='inverse_sqrt',
        include_self=False,
        projection_channels=None,
        prototypes=False,
        warmup_iters=0,
        queue_size=0,
        pooled=False,
        focal='none',
        loss_weight=0.1,
    ),
    'NeckChain': dict(num_instances=4),
    'SampleInstances': dict(
        num_frames=16, instance_len=4, instance_stride=None, test_mode=False
    ),
    'WIAN': dict(
        num_instances=4,
        recurrence='bilstm',
        num_layers=None,
        num_heads=8,
        residual='mean',
        weight_source='auto',
    ),
}


@pytest.mark.parametrize('name', DEFAULTS)
def test_a_changed_default_changes_what_committed_rows_mean(name):
    kind = MODELS.get(name) or TRANSFORMS.get(name)
    parameters = inspect.signature(kind).parameters
    for key, value in DEFAULTS[name].items():
        assert parameters[key].default == value, (
            f'{name}: the config hash does not see the default of {key}; '
            'write the value that committed rows were trained with into the '
            'bases of configs/leaderboard, or name the new one there'
        )


#: Pretraining of a retrained classifier: method and hash of the training.
RETRAINED = re.compile('features_of_(.+)_([0-9a-f]{10})')


def committed_rows():
    """Each setting of results/*.csv: hash, method and overrides."""
    found = {}
    for table in ('synthetic', 'ablation_mccl'):
        for row in read_rows(FOLDER.parents[1] / f'results/{table}.csv'):
            method, options = row.cells['method'], []
            if row.group != 'synthetic':  # one setting changed each
                words = shlex.split(row.cells['command'])
                options = words[words.index('--cfg-options') + 1 :]
                method = REFERENCES[1]
            expected = row.cells['config_hash']
            if crt := RETRAINED.fullmatch(row.cells['pretraining']):
                method, expected = crt.groups()
            found.setdefault((expected, method, *options), row)
    return found.items()


@pytest.mark.parametrize('found', committed_rows(), ids=lambda row: row[0][1])
def test_the_config_of_a_committed_row_is_unchanged(found):
    (expected, method, *options), row = found
    cfg = load('synthetic', method).copy()
    parser = ArgumentParser()
    parser.add_argument('options', nargs='*', action=DictAction, default={})
    if options:
        cfg.merge_from_dict(parser.parse_args(options).options)
    if config_hash(cfg.to_dict()) != expected:
        # Of older settings; then the board says so and does not rank it.
        rows = read_folder(FOLDER.parents[1] / 'results')
        (entry,) = (
            entry
            for table in build_board(rows)
            for entry in table.entries
            if row in entry.rows
        )
        assert entry.outdated and not entry.comparable
