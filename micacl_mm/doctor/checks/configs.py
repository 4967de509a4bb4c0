"""The config, and what is built from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from micacl_mm.registry import DATASETS, MODELS

from ..case import Case, inner_datasets, kind
from ..finding import (
    Finding,
    blamed,
    failed,
    number,
    passed,
    skipped,
    some,
    warned,
)
from ..registry import check


@check('config')
def config(case: Case) -> Iterator[Finding]:
    """The config can be read and has a model and data."""
    path = case.options.config
    if not path:
        yield skipped('none was given: data and model not looked at')
        return
    try:
        case.config = Config.fromfile(path)
        if case.options.cfg_options:
            case.config.merge_from_dict(case.options.cfg_options)
    except (Exception, SystemExit) as error:  # whatever a user's file does
        yield blamed(error, f'mend {path}')
        return
    init_default_scope(case.config.get('default_scope', 'mmaction'))
    wanted = ('model', 'train_dataloader', 'test_dataloader')
    lacking = [name for name in wanted if not case.config.get(name)]
    if lacking:
        yield failed(
            f'{path} has no {", ".join(lacking)}',
            'take a whole config, such as configs/micacl_dfew.py',
        )
    else:
        yield passed(path)


@check('precision', 'config')
def precision(case: Case) -> Iterator[Finding]:
    """Mixed precision needs a GPU."""
    wrapper = kind(case.config.get('optim_wrapper'))
    if 'Amp' in wrapper and not torch.cuda.is_available():
        yield failed(
            f'{wrapper} needs a GPU, and torch sees none',
            "set optim_wrapper.type='OptimWrapper', or mend the GPU",
        )
    else:
        yield passed('mixed' if 'Amp' in wrapper else 'float32')


@check('weights', 'config')
def weights(case: Case) -> Iterator[Finding]:
    """Weight files that the config names are there."""
    named = list(_weight_files(case.config.to_dict()))
    gone = [path for path in named if not os.path.isfile(path)]
    if gone:
        yield failed(
            f'no file {some(gone)}',
            'get the file, or set its path by --cfg-options',
        )
    else:
        yield passed(some(named) if named else 'none are named')


def _weight_files(value: Any, key: str = '') -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _weight_files(part, str(name))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _weight_files(part, key)
    elif key in ('pretrained', 'load_from', 'checkpoint'):
        # Others are an address, or the name of a zoo's model.
        local = isinstance(value, str) and '://' not in value
        if local and value.endswith(('.pth', '.pt')):
            yield value


@check('model', 'config')
def model(case: Case) -> Iterator[Finding]:
    """The model can be built."""
    try:
        case.model = MODELS.build(case.config.model)
    except Exception as error:  # whatever a user's config says
        yield blamed(error, f'mend the model of {case.options.config}')
        return
    count = sum(p.numel() for p in case.model.parameters())
    yield passed(f'{type(case.model).__name__}, {count:,} parameters')


@check('data', 'config')
def data(case: Case) -> Iterator[Finding]:
    """Root and layout are found, and all clips of the splits are there."""
    wrong: dict[str, Finding] = {}
    for name, loader in case.loaders():
        for settings in inner_datasets(loader.get('dataset')):
            try:
                dataset = DATASETS.build(settings)
                dataset.full_init()
            except Exception as error:  # of data sets of any library
                finding = blamed(
                    error, f'mend the {name}_dataloader, or --data-root'
                )
                # What is logged is not to be seen here.
                told = finding.found.replace('; the log names all of them', '')
                wrong.setdefault(told, finding._replace(found=told))
            else:
                case.datasets.setdefault(name, []).append(dataset)
    if wrong:
        yield from wrong.values()
        return
    sizes = [f'{len(dataset)} {name}' for name, dataset in case.built()]
    name = type(next(case.built())[1]).__name__
    layouts = {getattr(d, 'layout', '') for _, d in case.built()} - {''}
    text = f'{name}: {", ".join(sizes)} clips'
    yield passed(f'{text}; {"; ".join(sorted(layouts))}' if layouts else text)


@check('samples', 'data')
def samples(case: Case) -> Iterator[Finding]:
    """The pipelines make a sample of a clip."""
    shapes = []
    for name, dataset in case.built():
        try:
            case.samples[name] = sample = dataset[0]
        except Exception as error:  # of transforms of any library
            yield blamed(
                error,
                f'mend the pipeline of {name}_dataloader, or the first clip',
            )
            return
        inputs = sample.get('inputs') if isinstance(sample, dict) else None
        if not isinstance(inputs, torch.Tensor):
            yield failed(
                f'the pipeline of {name}_dataloader gives no inputs',
                "end it with dict(type='PackActionInputs')",
            )
            return
        shapes.append(f'{name} {tuple(inputs.shape)}')
    yield passed(', '.join(shapes))


@check('selection', 'data')
def selection(case: Case) -> Iterator[Finding]:
    """The checkpoint is chosen on other clips than the tested ones."""
    tested = {clip_place(d, i) for d in _all(case, 'test') for i in _range(d)}
    chosen = {clip_place(d, i) for d in _all(case, 'val') for i in _range(d)}
    both = len(tested & chosen)
    if not chosen:
        yield passed('no validation: the last checkpoint is taken')
    elif both:
        yield warned(
            f'{both} of {number(len(chosen), "clip")} for validation are '
            'tested: a checkpoint chosen on them flatters the result',
            'set --val-ratio 0.1',
        )
    else:
        yield passed(
            f'{number(len(chosen), "clip")} for validation, none is tested'
        )


def clip_place(dataset: Any, index: int) -> str:
    """Folder or file of a clip, or what else tells it from others."""
    info = dataset.get_data_info(index)
    for key in ('frame_dir', 'filename', 'video_id'):
        if info.get(key):
            return str(info[key])
    return f'{id(dataset)}/{index}'


def _all(case: Case, name: str) -> list:
    return case.datasets.get(name, [])


def _range(dataset: Any) -> range:
    return range(len(dataset))
