"""One batch through the model."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.dataset import pseudo_collate

from micacl_mm.hooks import ClassCountsHook

from ..case import Case, kind
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

_CPU_CLIPS = 4  # of a CPU nobody wants to wait for a whole batch


@check('forward', 'samples', 'classes')
def forward(case: Case) -> Iterator[Finding]:
    """A training batch gives a finite loss."""
    if not case.datasets.get('train'):
        yield skipped('no training data')
        return
    try:
        clips, losses = _train(case)
    except Exception as error:  # of models of any library
        yield blamed(error, _cure(error, case))
        return
    values = {name: value.detach().mean() for name, value in losses.items()}
    wrong = [n for n, value in values.items() if not torch.isfinite(value)]
    if wrong:
        yield failed(
            f'{some(wrong)} of {number(clips, "clip")} is not finite',
            'look at data_preprocessor, class counts and temperature',
        )
        return
    listed = [f'{name} {value:.3f}' for name, value in values.items()]
    yield passed(f'{number(clips, "clip")}, {", ".join(listed)}{_memory()}')
    if case.options.backward:
        yield from _backward(case.model, losses)


def _train(case: Case) -> tuple[int, dict[str, torch.Tensor]]:
    dataset = case.datasets['train'][0]
    loader = case.config.train_dataloader
    clips = min(int(loader.get('batch_size', 1)), len(dataset))
    model, cuda = case.model, torch.cuda.is_available()
    if case.options.batch or not cuda:
        clips = min(case.options.batch or _CPU_CLIPS, len(dataset))
    model.to('cuda' if cuda else 'cpu').train()
    if 'ClassCountsHook' in map(kind, case.config.get('custom_hooks') or []):
        logger = SimpleNamespace(info=lambda text: None)
        data = SimpleNamespace(dataset=dataset)
        ClassCountsHook().before_train(
            SimpleNamespace(model=model, train_dataloader=data, logger=logger)
        )
    batch = pseudo_collate([dataset[i] for i in _choose(dataset, clips)])
    mixed = cuda and 'Amp' in kind(case.config.get('optim_wrapper'))
    with (
        torch.set_grad_enabled(case.options.backward),
        torch.autocast('cuda', enabled=mixed),
    ):
        batch = model.data_preprocessor(batch, training=True)
        losses = model(**batch, mode='loss')
    losses = {n: v for n, v in losses.items() if isinstance(v, torch.Tensor)}
    return clips, losses


def _choose(dataset: Any, count: int) -> list[int]:
    """Clips of all over the set, two of them of one class.

    The first ones may all be of one class, and a contrast needs a pair.
    """
    chosen = [i * len(dataset) // count for i in range(count)]
    first = dataset.get_data_info(0).get('label')
    for i in range(1, len(dataset)):
        if count > 1 and dataset.get_data_info(i).get('label') == first:
            chosen[1] = i
            break
    return chosen


def _cure(error: Exception, case: Case) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        size = case.config.train_dataloader.get('batch_size')
        return (
            f'lower train_dataloader.batch_size, now {size}, or give the GPU '
            'to this training alone'
        )
    return f'mend the model or the train_pipeline of {case.options.config}'


def _memory() -> str:
    if not torch.cuda.is_available():
        return ''
    peak = torch.cuda.max_memory_allocated() / 2**30
    return f', at most {peak:.1f} GiB of GPU memory'


def _backward(model: Any, losses: dict) -> Iterator[Finding]:
    total = sum(v.mean() for name, v in losses.items() if 'loss' in name)
    total.backward()
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    wrong = [
        name
        for name, parameter in trained
        if parameter.grad is not None
        and not torch.isfinite(parameter.grad).all()
    ]
    bare = [name for name, p in trained if p.grad is None]
    model.zero_grad()
    if wrong:
        yield failed(
            f'the gradient of {some(wrong)} is not finite',
            'look at the loss, and at mixed precision',
        )
    if bare:
        yield warned(
            f'no gradient reaches {some(bare)}',
            'set find_unused_parameters=True for several GPUs, or freeze '
            'these',
        )
    if not wrong and not bare:
        yield passed(f'backward: finite in {len(trained)} tensors{_memory()}')


@check('predict', 'samples', 'classes')
def predict(case: Case) -> Iterator[Finding]:
    """A test clip gets a score for each class."""
    sample = case.samples.get('test')
    if sample is None:
        yield skipped('no test data')
        return
    model = case.model.eval()
    try:
        with torch.no_grad():
            batch = model.data_preprocessor(pseudo_collate([sample]))
            answer = model(**batch, mode='predict')[0]
        scores = answer.pred_score
    except Exception as error:  # of models of any library
        yield blamed(
            error,
            f'mend the model or the test_pipeline of {case.options.config}',
        )
        return
    classes = case.datasets['test'][0].metainfo.get('classes')
    if classes and tuple(scores.shape) != (len(classes),):
        yield failed(
            f'scores of shape {tuple(scores.shape)} for {len(classes)} '
            'classes',
            "set model.cls_head.average_clips='prob', and its num_classes",
        )
    elif not torch.isfinite(scores).all():
        yield failed('scores are not finite', 'take another checkpoint')
    else:
        yield passed(f'{len(scores)} scores')
