"""Retrain the classifier of a checkpoint on balanced batches (cRT).

  micacl retrain-classifier CONFIG CHECKPOINT [--epochs 5] [--lr RATE]

Keeps the features of the checkpoint: all but the head is frozen and in eval
mode. The head is initialised again and trained with as many clips of each
class, by the optimizer of the config, at a rate that falls to zero. A loss of
the head that corrects for rare classes is switched to plain cross-entropy,
and auxiliary losses of necks are left out.

The result is a whole checkpoint for test, infer and export with the same
CONFIG. All other options go to the stock train tool.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from micacl_mm.errors import ConfigError
from micacl_mm.options import find_config, take_options

from . import make_parser
from .launch import check_checkpoint, read_config, run_tool

_LONG_TAIL = 'LongTailCrossEntropyLoss'


def parse_arguments(
    argv: Sequence[str],
) -> tuple[argparse.Namespace, list[str]]:
    """Read the command line; the rest is for the stock train tool."""
    parser = make_parser('retrain-classifier', __doc__)
    add = parser.add_argument
    add('config', help='that the checkpoint was trained with')
    add('checkpoint', type=Path)
    add('--epochs', type=int, default=5, help='default: 5')
    add('--lr', type=float, help='default: that of the config')
    add('--name', help='method in the tables; default: NAME_crt')
    add('--work-dir', help='default: classifier/ beside the checkpoint')
    add('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE')
    found, rest = parser.parse_known_args(take_options(argv))
    if found.epochs < 1:
        parser.error(f'--epochs must be 1 or more, got {found.epochs}')
    found.config = find_config(found.config)
    check_checkpoint(str(found.checkpoint))
    # The stock tool takes shortened options, too.
    given = [word.partition('=')[0] for word in rest]
    for option, why in (
        ('--launcher', 'a classifier is retrained by one process'),
        ('--resume', 'a retraining starts from CHECKPOINT, begin it anew'),
    ):
        if any(word[2:] and option.startswith(word) for word in given):
            parser.error(f'{option}: {why}')
    return found, rest


def settings_of(arguments: argparse.Namespace) -> list[str]:
    """Return the ``--cfg-options`` that make a training a retraining."""
    import torch

    from micacl_mm.records.training import RETRAINED, Training

    config = read_config(arguments.config, arguments.cfg_options)
    head = config.model.get('cls_head')
    if not head or not (config.get('train_cfg') or {}).get('max_epochs'):
        raise ConfigError(
            f'{arguments.config} must have a model with a cls_head and '
            'train_cfg.max_epochs',
            'take the config of the training',
        )
    state = torch.load(
        arguments.checkpoint, 'cpu', weights_only=True, mmap=True
    )
    before = Training.from_meta(state.get('meta'))
    name = config.get('method') or Path(arguments.config).stem
    # No blanks: the stock tool takes them out.
    known = before.pretraining
    known = '' if known in ('', 'none') else f'{known}+'
    settings = {
        'load_from': arguments.checkpoint,
        'train_cfg.max_epochs': arguments.epochs,
        'default_hooks.retrain_classifier.type': 'RetrainClassifierHook',
        **_replaced(config.train_dataloader, 'train_dataloader.', 'sampler'),
        'train_dataloader.sampler.type': 'ClassBalancedSampler',
        'train_dataloader.sampler.power': 1.0,
        'train_dataloader.batch_sampler': None,
        **_replaced(config, '', 'param_scheduler'),
        'param_scheduler.type': 'CosineAnnealingLR',
        'param_scheduler.T_max': arguments.epochs,
        'param_scheduler.convert_to_iter_based': True,
        'method': arguments.name or f'{name}_crt',
        'pretraining': f'{known}{RETRAINED}{name}_{before.config_hash}',
    }
    if arguments.lr is not None:
        settings['optim_wrapper.optimizer.lr'] = arguments.lr
    if before.seed is not None:
        settings['randomness.seed'] = before.seed
    loss = head.get('loss_cls') or {}
    if str(loss.get('type')).endswith(_LONG_TAIL):
        settings['model.cls_head.loss_cls.class_weight'] = 'none'
        settings['model.cls_head.loss_cls.logit_adjustment'] = 0.0
    elif loss.get('class_weight'):
        settings['model.cls_head.loss_cls.class_weight'] = None
    return [f'{key}={value}' for key, value in settings.items()]


def _replaced(part: dict, place: str, name: str) -> dict:
    """Have MMEngine replace a setting as a whole, where there is one."""
    return {f'{place}{name}._delete_': True} if part.get(name) else {}


def main(argv: Sequence[str]) -> int:
    """Retrain the classifier; the exit code."""
    arguments, rest = parse_arguments(argv)
    work_dir = arguments.work_dir or arguments.checkpoint.parent / 'classifier'
    settings = settings_of(arguments)
    run_tool(
        'train',
        [
            *(arguments.config, '--work-dir', str(work_dir), *rest),
            *('--cfg-options', *arguments.cfg_options, *settings),
        ],
    )
    made = Path(work_dir) / f'epoch_{arguments.epochs}.pth'
    print(f'next: micacl test {arguments.config} {made}')
    return 0
