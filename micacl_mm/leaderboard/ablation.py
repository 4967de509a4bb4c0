"""The tables of docs/ablation.md: what each change does to a reference."""

from collections.abc import Sequence
from typing import NamedTuple

from .board import Table
from .entry import Entry
from .markdown import NO_ROWS, README_SET, escape, figure, grid, names_of
from .statistics import Difference, differences

SELECTION = 'last'
READING = (
    'UAR, WAR and recalls in percent: mean ± half width of the 95 % interval '
    'of each entry alone. Difference: UAR minus that of the first line, with '
    'an interval that holds for all lines of the table at once (standard '
    'deviation pooled over the table, Bonferroni). **Bold**: its interval '
    'leaves out zero.'
)


class Study(NamedTuple):
    """One table.

    Args:
        title (str): For people.
        reference (str): Method that the others are held against.
        methods (tuple[str, ...]): As named by tools/ablation.sh.
    """

    title: str
    reference: str
    methods: tuple[str, ...]


STUDIES = (
    Study(
        'Parts of MICACL, and other answers to the tail',
        'r3d18_mil',
        (
            'geiim',
            'wian',
            'geiim_wian',
            'mccl',
            'micacl',
            'm3dfel',
            'supcon',
            'weighted_ce',
            'balanced_sampling',
            'focal',
            'logit_adjustment',
        ),
    ),
    Study(
        'Settings of MCCL',
        'micacl',
        (
            'geiim_wian',
            'scales_1',
            'scales_1_2',
            'form_ratio',
            'form_out',
            'temperature_per_class',
            'class_weight_none',
            'prototypes',
            'weight_0.03',
            'weight_0.3',
            'weight_1',
        ),
    ),
    Study(
        'Parts together with an answer to the tail',
        'geiim_wian',
        (
            'r3d18_mil_sampling',
            'geiim_wian_sampling',
            'micacl_sampling',
            'geiim_wian_adjustment',
            'micacl_adjustment',
        ),
    ),
)


def ablation_markdown(tables: Sequence[Table]) -> str:
    """All studies that have rows.

    Args:
        tables (Sequence[Table]): From :func:`~.board.build_board`.

    Returns:
        str: Sections of level three, without an end of line at the end.
    """
    found = [table for table in tables if table.dataset == README_SET]
    entries = [
        entry
        for table in found
        for entry in table.entries
        if entry.text('selection') == SELECTION
    ]
    sections = [
        _study_markdown(study, entries, found[0].order)
        for study in STUDIES
        if any(entry.text('method') == study.reference for entry in entries)
    ]
    return '\n\n'.join([READING, *sections] if sections else [NO_ROWS])


def _study_markdown(
    study: Study, entries: Sequence[Entry], order: Sequence[str]
) -> str:
    chosen = [
        entry
        for method in (study.reference, *study.methods)
        for entry in entries
        if entry.text('method') == method
    ]
    first, *others = chosen
    compared = differences(first.uar, [entry.uar for entry in others])
    rows = [
        [
            escape(name),
            figure(entry.uar),
            difference,
            figure(entry.metrics['WAR']),
            figure(entry.metrics[f'recall_{order[0]}']),
            figure(entry.metrics[f'recall_{order[-1]}']),
            escape(entry.replicates),
        ]
        for name, entry, difference in zip(
            names_of(chosen),
            chosen,
            ['', *map(_difference, compared)],
            strict=True,
        )
    ]
    header = ['Method', 'UAR', 'Difference', 'WAR']
    header += [f'{order[0]} (head)', f'{order[-1]} (tail)', 'Runs']
    return f'### {study.title}\n\n{grid(header, "lrrrrrl", rows)}'


def _difference(found: Difference) -> str:
    if found.half_width is None:
        return f'{found.value:+.2f}'
    text = f'{found.value:+.2f} ± {found.half_width:.2f}'
    return f'**{text}**' if found.shown else text
