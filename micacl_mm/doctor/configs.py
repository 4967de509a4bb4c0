"""The config: what is built from it, and whether its parts agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from numbers import Integral

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from micacl_mm.apis.loading import load_model
from micacl_mm.errors import MICACLError
from micacl_mm.hooks.consistency_hook import (
    empty_epoch,
    fills_no_batch,
    find_faults,
)
from micacl_mm.records.weights import check_classes
from micacl_mm.registry import MODELS
from micacl_mm.utils.datasets import innermost

from .core import Case, Finding, check, shorten, some


@check('config')
def config(case: Case) -> Iterator[Finding]:
    """The config can be read and has a model and data."""
    path = case.options.config
    if not path:
        yield Finding.skipped('none was given: data and model are not checked')
        return
    try:
        case.config = Config.fromfile(path)
        case.config.merge_from_dict(case.options.cfg_options)
    except (Exception, SystemExit) as error:  # whatever a user's file does
        yield Finding.blamed(error, f'correct {path}')
        return
    init_default_scope(case.config.get('default_scope', 'mmaction'))
    wanted = ('model', 'train_dataloader', 'test_dataloader')
    lacking = [name for name in wanted if not case.config.get(name)]
    if lacking:
        yield Finding.failed(
            f'{path} has no {", ".join(lacking)}',
            'use a complete config, such as configs/micacl_dfew.py',
        )
    else:
        yield Finding.passed(path)


@check('model', 'config')
def model(case: Case) -> Iterator[Finding]:
    """The model can be built."""
    try:
        case.model = MODELS.build(case.config.model)
    except Exception as error:  # whatever a user's config says
        yield Finding.blamed(
            error, f'correct the model of {case.options.config}'
        )
        return
    count = sum(p.numel() for p in case.model.parameters())
    yield Finding.passed(f'{type(case.model).__name__}, {count:,} parameters')


@check('data', 'config')
def data(case: Case) -> Iterator[Finding]:
    """Root, layout, splits and clips are found."""
    wrong: dict[str, Finding] = {}
    for name in ('train', 'val', 'test'):
        settings = case.config.get(f'{name}_dataloader')
        if not settings:
            continue
        try:
            loader = Runner.build_dataloader(settings, seed=0)
        except Exception as error:  # of datasets of any library
            cure = f'correct {name}_dataloader, or --data-root'
            finding = Finding.blamed(error, cure)
            wrong.setdefault(finding.found, finding)
            continue
        case.loaders[name] = loader
        case.datasets[name] = list(innermost(loader.dataset))
    yield from wrong.values()
    for text in dict.fromkeys(case.log):
        yield Finding.warned(
            shorten(text),
            'unpack these clips again, and remove what does not belong there',
        )
    if not wrong and not case.log:
        sizes = [f'{len(dataset)} {name}' for name, dataset in case.built()]
        first = type(next(case.built())[1]).__name__
        layouts = {getattr(d, 'layout', '') for _, d in case.built()} - {''}
        text = f'{first}: {", ".join(sizes)} clips'
        yield Finding.passed('; '.join([text, *sorted(layouts)]))


@check('samples', 'data')
def samples(case: Case) -> Iterator[Finding]:
    """The pipelines make a sample of a clip."""
    shapes = []
    for name, dataset in case.built():
        try:
            case.samples[name] = sample = dataset[0]
        except Exception as error:  # of transforms of any library
            cure = f'correct the pipeline of {name}_dataloader, or the clip'
            yield Finding.blamed(error, cure)
            return
        inputs = sample.get('inputs') if isinstance(sample, dict) else None
        if not isinstance(inputs, torch.Tensor):
            yield Finding.failed(
                f'the pipeline of {name}_dataloader gives no inputs',
                "end it with dict(type='PackActionInputs')",
            )
            return
        shapes.append(f'{name} {tuple(inputs.shape)}')
    yield Finding.passed(', '.join(shapes))


@check('consistency', 'data', 'model')
def consistency(case: Case) -> Iterator[Finding]:
    """Classes and labels agree; evaluation sees each clip once, in order."""
    clean = True
    if fills_no_batch(case.loaders['train']):
        clean = False
        yield Finding.blamed(empty_epoch(case.loaders['train']), '')
    for fault in dict.fromkeys(find_faults(case.model, case.loaders)):
        problem, _, cure = fault.rpartition(': ')
        clean = False
        yield Finding.failed(problem, cure)
    for name, dataset in case.built():
        infos = map(dataset.get_data_info, range(len(dataset)))
        labels = Counter(
            info['label']
            for info in infos
            if isinstance(info.get('label'), Integral)  # one class per clip
        )
        names = dataset.metainfo.get('classes') or ()
        empty = [str(n) for i, n in enumerate(names) if not labels[i]]
        if empty:
            clean = False
            yield Finding.warned(
                f'{name} has no clip of {some(empty, 9)}',
                'restore the split file, or note that UAR covers only the '
                'classes that are there',
            )
    if clean:
        yield Finding.passed('classes, labels and evaluation')


@check('checkpoint', 'data', 'model')
def checkpoint(case: Case) -> Iterator[Finding]:
    """The checkpoint fits model and classes."""
    path = case.options.checkpoint
    if not path:
        yield Finding.skipped('none was given (--checkpoint FILE)')
        return
    try:
        meta = load_model(case.config, path)[1].get('meta') or {}
        for _, dataset in case.built():
            check_classes(meta, dataset)
    except MICACLError as error:
        yield Finding.blamed(error, 'use another file')
    else:
        yield Finding.passed(
            f'weights and classes fit, epoch {meta.get("epoch")}'
        )
