"""The config: what is built from it, its classes and its evaluation."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader

from micacl_mm.hooks.consistency_hook import counted_parts, wrong_settings
from micacl_mm.records.weights import check_classes, check_fit
from micacl_mm.registry import DATASETS, MODELS
from micacl_mm.utils.datasets import innermost

from .core import (
    Case,
    Finding,
    blamed,
    check,
    failed,
    kind,
    number,
    passed,
    skipped,
    some,
    warned,
)

_REPEATING = ('ClassBalanced', 'ClassAware', 'Repeat', 'Infinite')


@check('config')
def config(case: Case) -> Iterator[Finding]:
    """The config can be read and has a model and data."""
    path = case.options.config
    if not path:
        yield skipped('none was given: data and model are not checked')
        return
    try:
        case.config = Config.fromfile(path)
        if case.options.cfg_options:
            case.config.merge_from_dict(case.options.cfg_options)
    except (Exception, SystemExit) as error:  # whatever a user's file does
        yield blamed(error, f'correct {path}')
        return
    init_default_scope(case.config.get('default_scope', 'mmaction'))
    wanted = ('model', 'train_dataloader', 'test_dataloader')
    lacking = [name for name in wanted if not case.config.get(name)]
    if lacking:
        yield failed(
            f'{path} has no {", ".join(lacking)}',
            'use a complete config, such as configs/micacl_dfew.py',
        )
        return
    wrapper = kind(case.config.get('optim_wrapper'))
    if 'Amp' in wrapper and not torch.cuda.is_available():
        yield failed(
            f'{wrapper} needs a GPU, and torch sees none',
            "set optim_wrapper.type='OptimWrapper'",
        )
        return
    gone = [
        file
        for file in _weight_files(case.config.to_dict())
        if not os.path.isfile(file)
    ]
    if gone:
        yield failed(
            f'no file {some(gone)}',
            'download the file, or set its path by --cfg-options',
        )
        return
    yield passed(path)


def _weight_files(value: Any, key: str = '') -> Iterator[str]:
    """Local files of weights that a config names."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _weight_files(part, str(name))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _weight_files(part, key)
    elif key in ('pretrained', 'load_from', 'checkpoint'):
        # Others are a URL, or the name of a model in a zoo.
        local = isinstance(value, str) and '://' not in value
        if local and value.endswith(('.pth', '.pt')):
            yield value


@check('model', 'config')
def model(case: Case) -> Iterator[Finding]:
    """The model can be built."""
    try:
        case.model = MODELS.build(case.config.model)
    except Exception as error:  # whatever a user's config says
        yield blamed(error, f'correct the model of {case.options.config}')
        return
    count = sum(p.numel() for p in case.model.parameters())
    yield passed(f'{type(case.model).__name__}, {count:,} parameters')


@check('data', 'config')
def data(case: Case) -> Iterator[Finding]:
    """Root and layout are found, and all clips of the splits are there."""
    wrong: dict[str, Finding] = {}
    for name, loader in case.loaders():
        for settings in innermost(loader.get('dataset') or {}):
            try:
                dataset = DATASETS.build(settings)
                dataset.full_init()
            except Exception as error:  # of datasets of any library
                cure = f'correct {name}_dataloader, or --data-root'
                finding = blamed(error, cure)
                wrong.setdefault(finding.found, finding)
            else:
                case.datasets.setdefault(name, []).append(dataset)
    if wrong:
        yield from wrong.values()
        return
    sizes = [f'{len(dataset)} {name}' for name, dataset in case.built()]
    first = type(next(case.built())[1]).__name__
    layouts = {getattr(d, 'layout', '') for _, d in case.built()} - {''}
    text = f'{first}: {", ".join(sizes)} clips'
    yield passed('; '.join([text, *sorted(layouts)]))


@check('samples', 'data')
def samples(case: Case) -> Iterator[Finding]:
    """The pipelines make a sample of a clip, and clips fill a batch."""
    shapes = []
    for name, dataset in case.built():
        try:
            case.samples[name] = sample = dataset[0]
        except Exception as error:  # of transforms of any library
            yield blamed(
                error,
                f'correct the pipeline of {name}_dataloader, or the first '
                'clip',
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
    loader = case.config.train_dataloader
    clips, batch = sum(map(len, _all(case, 'train'))), loader.get('batch_size')
    if loader.get('drop_last') and batch and clips < batch:
        yield failed(
            f'{number(clips, "training clip")} do not fill one batch of '
            f'{batch}, and drop_last drops it',
            f'--cfg-options train_dataloader.batch_size={max(1, clips // 2)}',
        )
        return
    yield passed(', '.join(shapes))


@check('evaluation', 'config')
def evaluation(case: Case) -> Iterator[Finding]:
    """Validation and test see each clip once, in order, without chance."""
    wrong = []
    for name, loader in case.loaders():
        if name == 'train':
            continue
        for fault in wrong_settings(name, loader):
            found, _, cure = fault.partition(': ')
            wrong.append(failed(found, cure))
        kinds, part = [kind(loader.get('sampler'))], loader.get('dataset')
        while part:
            kinds.append(kind(part))
            part = part.get('dataset')
        repeating = [k for k in kinds if k.startswith(_REPEATING)]
        if repeating:
            wrong.append(
                failed(
                    f'{name}_dataloader shows clips more than once '
                    f'({", ".join(repeating)})',
                    f"set {name}_dataloader.sampler to dict(type='"
                    "DefaultSampler', shuffle=False) and remove wrappers of "
                    'its dataset',
                )
            )
    yield from wrong or [passed('each clip once, in order, without chance')]


@check('selection', 'data')
def selection(case: Case) -> Iterator[Finding]:
    """The checkpoint is selected on other clips than the tested ones."""
    tested, chosen = clip_places(case, 'test'), clip_places(case, 'val')
    both = len(tested & chosen)
    if not chosen:
        yield passed('no validation: the last checkpoint is used')
    elif both:
        yield warned(
            f'{both} of {number(len(chosen), "validation clip")} are tested: '
            'a checkpoint selected on them flatters the result',
            'set --val-ratio 0.1',
        )
    else:
        yield passed(f'{number(len(chosen), "validation clip")}, none tested')


def clip_places(case: Case, loader: str) -> set[str]:
    """Folders or files of the clips of a loader."""
    places = set()
    for dataset in _all(case, loader):
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            keys = ('frame_dir', 'filename', 'video_id')
            found = (str(info[key]) for key in keys if info.get(key))
            places.add(next(found, f'{id(dataset)}/{index}'))
    return places


def _all(case: Case, name: str) -> list:
    return case.datasets.get(name, [])


@check('classes', 'data', 'model')
def classes(case: Case) -> Iterator[Finding]:
    """Names, order and number of the classes agree everywhere."""
    named = list(_named(case))
    if not named:
        yield passed('the datasets do not name their classes')
        return
    first, names = named[0]
    wrong = [
        failed(
            f'{first} has the classes {", ".join(names)}, {other} has '
            f'{", ".join(there)}',
            'make names and order agree',
        )
        for other, there in named[1:]
        if there != names
    ]
    wrong += [
        failed(
            f'{part} has num_classes={count}, the dataset {len(names)} '
            f'classes ({", ".join(names)})',
            f'set model.{part}.num_classes={len(names)}',
        )
        for part, _, count in counted_parts(case.model)
        if count != len(names)
    ]
    yield from wrong or [passed(f'{len(names)}: {", ".join(names)}')]


def _named(case: Case) -> Iterator[tuple[str, list[str]]]:
    """Who names classes."""
    for name, dataset in case.built():
        given = dataset.metainfo.get('classes')
        if given:
            yield f'{name}_dataloader', list(map(str, given))
    for key in ('classes', 'class_names'):
        given = case.config.get(key)
        if isinstance(given, (list, tuple)) and given:
            yield f'{key} of the config', list(map(str, given))


@check('labels', 'data', 'model')
def labels(case: Case) -> Iterator[Finding]:
    """Labels are classes of the head, and no class is empty."""
    size = getattr(getattr(case.model, 'cls_head', None), 'num_classes', None)
    wrong, empty = [], []
    for name, dataset in case.built():
        infos = map(dataset.get_data_info, range(len(dataset)))
        counts = Counter(
            int(info['label'])
            for info in infos
            if isinstance(info.get('label'), Integral)  # one class per clip
        )
        names = dataset.metainfo.get('classes')
        count = size or len(names or counts)
        outside = [str(k) for k in sorted(counts) if not 0 <= k < count]
        if outside:
            wrong.append(f'{name} has labels {some(outside)}')
        lacking = [
            str(n)
            for i, n in enumerate(names or range(count))
            if not counts[i]
        ]
        if lacking:
            empty.append(f'{name} has no clip of {some(lacking, 9)}')
    if wrong:
        yield failed(
            f'{"; ".join(wrong)}; the head has num_classes={count}',
            'correct the annotation, or model.cls_head.num_classes',
        )
    if empty:
        yield warned(
            '; '.join(empty),
            'restore the split file, or note that UAR covers only the '
            'classes that are there',
        )
    if not wrong and not empty:
        yield passed('all within the classes, none of which is empty')


@check('checkpoint', 'data', 'model')
def checkpoint(case: Case) -> Iterator[Finding]:
    """The checkpoint fits model and classes."""
    path = case.options.checkpoint
    if not path:
        yield skipped('none was given (--checkpoint FILE)')
        return
    try:
        loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    except Exception as error:  # of pickle, zip or torch
        yield blamed(error, f'{path} is no whole checkpoint: use another')
        return
    meta = loaded.get('meta') or {}
    try:
        for _, dataset in case.built():
            check_classes(meta, dataset)
        check_fit(case.model, loaded)
    except ValueError as error:
        yield blamed(error, 'use the config that it was trained with')
    else:
        yield passed(f'weights and classes fit, epoch {meta.get("epoch")}')
