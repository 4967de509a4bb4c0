"""The tables of docs/ablation.md: what each change does to a reference."""

from collections.abc import Sequence
from typing import NamedTuple

from micacl_mm.records.board import Table
from micacl_mm.records.entry import Entry
from micacl_mm.records.rows import RERUN
from micacl_mm.records.statistics import difference

from .markdown import NO_ROWS, README_SET, escape, figure, grid, names_of

SELECTION = 'last'
READING = (
    'UAR, WAR and recalls in percent: mean ± half width of the 95 % interval. '
    'Difference: UAR minus that of the first line, with its 95 % interval '
    '(Welch); **bold** where that leaves out zero. Each interval is for one '
    'line alone: of 20 lines without any effect one is bold by chance. All '
    'are about other random starts on the same clips, not about other clips.'
)


class Study(NamedTuple):
    """One table.

    Args:
        title (str): For people.
        reference (str): Method that the others are held against.
        methods (tuple[str, ...]): As named by tools/dev/ablation.sh.
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
            'r3d18_mil_hard',
            'weighted_ce',
            'balanced_sampling',
            'focal',
            'logit_adjustment',
        ),
    ),
    Study(
        'Settings of MCCL, and of the mean that WIAN starts from',
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
            'projection',
            'weight_0.03',
            'weight_0.3',
            'weight_1',
            'weighted_mean',
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
            'geiim_wian_hard',
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
        if any(entry.name == study.reference for entry in entries)
    ]
    return '\n\n'.join([READING, *sections] if sections else [NO_ROWS])


def _study_markdown(
    study: Study, entries: Sequence[Entry], order: Sequence[str]
) -> str:
    chosen = [
        entry
        for method in (study.reference, *study.methods)
        for entry in entries
        if entry.name in (method, method + RERUN)
    ]
    rows = [
        [
            escape(name),
            figure(entry.uar),
            _difference(chosen, entry, study.reference),
            figure(entry.metrics['WAR']),
            figure(entry.metrics[f'recall_{order[0]}']),
            figure(entry.metrics[f'recall_{order[-1]}']),
            escape('; '.join([entry.replicates, *entry.notes])),
        ]
        for name, entry in zip(names_of(chosen), chosen, strict=True)
    ]
    header = ['Method', 'UAR', 'Difference', 'WAR']
    header += [f'{order[0]} (head)', f'{order[-1]} (tail)', 'Runs']
    return f'### {study.title}\n\n{grid(header, "lrrrrrl", rows)}'


def _difference(chosen: Sequence[Entry], entry: Entry, reference: str) -> str:
    """Empty for the reference, and where there is nothing to compare."""
    first = [e for e in chosen if e.name == reference]
    if entry in first or len(first) > 1:  # which of them?
        return ''
    if not (entry.comparable and first[0].comparable):
        return '-'
    found = difference(first[0].uar, entry.uar)
    text = f'{found.value:+.2f} ± {found.half_width:.2f}'
    return f'**{text}**' if found.shown else text
