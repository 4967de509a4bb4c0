"""Loaders that would give a test wrong or changing figures."""

from __future__ import annotations

from collections.abc import Iterator

from micacl_mm.records.protocol import sampling_in_words

from ..case import Case, kind
from ..finding import Finding, failed, passed, warned
from ..registry import check

_REPEATING = ('ClassBalanced', 'ClassAware', 'Repeat', 'Infinite')


@check('test pipeline', 'config')
def tested_pipelines(case: Case) -> Iterator[Finding]:
    """No transform of validation and test draws."""
    told = set()
    for name, steps in case.pipelines():
        words = sampling_in_words(steps)
        chance = words.partition('chance in ')[2]
        if name != 'train' and chance:
            yield failed(
                f'{name}_dataloader: chance in {chance}, so that each test '
                'gives other figures',
                f'take {chance} out of its pipeline, or set test_mode=True '
                'where it samples',
            )
            told.add(name)
        elif name == 'test':
            wording = words
    if not told:
        yield passed(wording)


@check('test loaders', 'config')
def tested_loaders(case: Case) -> Iterator[Finding]:
    """Validation and test see each clip once, in order."""
    problems = list(_problems(case))
    yield from problems or [passed('each clip once, in order')]


def _problems(case: Case) -> Iterator[Finding]:
    for name, loader in case.loaders():
        if name == 'train':
            continue
        key = f'{name}_dataloader'
        sampler = loader.get('sampler') or {}
        kinds = [kind(sampler), *_wrappers(loader)]
        repeating = [k for k in kinds if k.startswith(_REPEATING)]
        if loader.get('drop_last'):
            yield failed(
                f'{key} drops the last batch: its clips are not tested',
                f'set {key}.drop_last=False',
            )
        if repeating:
            yield failed(
                f'{key} shows clips more than once ({", ".join(repeating)})',
                f"set {key}.sampler to dict(type='DefaultSampler', "
                'shuffle=False) and take wrappers of its data set out',
            )
        elif sampler.get('shuffle', True):
            yield warned(
                f'{key} is shuffled: results do not stand in the order of '
                'the clips',
                f'set {key}.sampler.shuffle=False',
            )


def _wrappers(loader: dict) -> Iterator[str]:
    dataset = loader.get('dataset') or {}
    while 'dataset' in dataset:
        yield kind(dataset)
        dataset = dataset['dataset']
