"""One batch through the model."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.dataset import pseudo_collate

from micacl_mm.hooks import ClassCountsHook

from .core import Case, Finding, check, kind, number, some

_CPU_CLIPS = 4  # a whole batch takes too long on a CPU


@check('training step', 'samples', 'consistency')
def training_step(case: Case) -> Iterator[Finding]:
    """A training batch gives a finite loss and finite gradients."""
    try:
        clips, losses = _losses(case)
        total = sum(v.mean() for name, v in losses.items() if 'loss' in name)
        total.backward()
    except Exception as error:  # of models of any library
        cure = f'correct model or train_pipeline of {case.options.config}'
        if isinstance(error, torch.OutOfMemoryError):
            size = case.loaders['train'].batch_size
            cure = f'lower train_dataloader.batch_size, now {size}'
        yield Finding.blamed(error, cure)
        return
    values = {name: value.detach().mean() for name, value in losses.items()}
    wrong = [n for n, value in values.items() if not torch.isfinite(value)]
    if wrong:
        yield Finding.failed(
            f'{some(wrong)} of {number(clips, "clip")} is not finite',
            'check data_preprocessor, class counts and temperature',
        )
        return
    peak = ''
    if torch.cuda.is_available():
        used = torch.cuda.max_memory_allocated() / 2**30
        peak = f', at most {used:.1f} GiB of GPU memory'
    listed = [f'{name} {value:.3f}' for name, value in values.items()]
    gradients = list(check_gradients(case.model))
    yield from gradients
    if not gradients:
        yield Finding.passed(
            f'{number(clips, "clip")}, {", ".join(listed)}{peak}'
        )


def _losses(case: Case) -> tuple[int, dict[str, torch.Tensor]]:
    loader, cuda = case.loaders['train'], torch.cuda.is_available()
    dataset, model = loader.dataset, case.model
    batch = getattr(loader.batch_sampler, 'batch_size', 1)
    clips = min(batch if cuda else _CPU_CLIPS, len(dataset))
    model.to('cuda' if cuda else 'cpu').train()
    if case.hook('ClassCountsHook') is not None:
        ClassCountsHook().before_train(
            SimpleNamespace(
                model=model,
                train_dataloader=loader,
                logger=SimpleNamespace(info=lambda text: None),
            )
        )
    data = pseudo_collate([dataset[i] for i in _choose(dataset, clips)])
    mixed = cuda and 'Amp' in kind(case.config.get('optim_wrapper'))
    with torch.autocast('cuda', enabled=mixed):
        data = model.data_preprocessor(data, training=True)
        losses = model(**data, mode='loss')
    losses = {n: v for n, v in losses.items() if isinstance(v, torch.Tensor)}
    return clips, losses


def _choose(dataset: Any, count: int) -> list[int]:
    """Clips from all over the set, two of them of one class for MCCL."""
    chosen = [i * len(dataset) // count for i in range(count)]
    labels = [
        dataset.get_data_info(i).get('label') for i in range(len(dataset))
    ]
    if count > 1 and labels[0] in labels[1:]:
        chosen[1] = labels.index(labels[0], 1)
    return chosen


def check_gradients(model: torch.nn.Module) -> Iterator[Finding]:
    """Find parameters without a gradient, or with one that is not finite."""
    gradients = {
        name: p.grad for name, p in model.named_parameters() if p.requires_grad
    }
    bare = [name for name, grad in gradients.items() if grad is None]
    wrong = [
        name
        for name, grad in gradients.items()
        if grad is not None and not torch.isfinite(grad).all()
    ]
    model.zero_grad()
    if wrong:
        yield Finding.failed(
            f'the gradient of {some(wrong)} is not finite',
            'check the loss, and mixed precision',
        )
    if bare:
        yield Finding.warned(
            f'no gradient reaches {some(bare)}',
            'freeze these, or set find_unused_parameters=True for several '
            'GPUs',
        )


@check('prediction', 'samples', 'consistency')
def prediction(case: Case) -> Iterator[Finding]:
    """A test clip gets a score for each class."""
    model, sample = case.model.eval(), case.samples.get('test')
    if sample is None:
        yield Finding.skipped('no test data')
        return
    try:
        with torch.no_grad():
            batch = model.data_preprocessor(pseudo_collate([sample]))
            scores = model(**batch, mode='predict')[0].pred_score
    except Exception as error:  # of models of any library
        cure = f'correct model or test_pipeline of {case.options.config}'
        yield Finding.blamed(error, cure)
        return
    classes = case.datasets['test'][0].metainfo.get('classes')
    if classes and tuple(scores.shape) != (len(classes),):
        yield Finding.failed(
            f'scores of shape {tuple(scores.shape)} for {len(classes)} '
            'classes',
            "set model.cls_head.average_clips='prob', and its num_classes",
        )
    elif not torch.isfinite(scores).all():
        yield Finding.failed('scores are not finite', 'use another checkpoint')
    else:
        yield Finding.passed(f'{len(scores)} scores')
