"""Faults of clips and split files."""

import shutil

from tests.sets import write_dfew_split

from .planting import fault, of_config
from .tree import clip_dir, frame_path, rows_of, write_frame

# -- clips


@fault('data', 'FAIL', '--missing drop')
def clip_absent(bench):
    shutil.rmtree(clip_dir(bench.spoil(), 10))


@fault('missing clips', 'WARN', 'unpack these clips again')
def clip_absent_and_dropped(bench):
    shutil.rmtree(clip_dir(bench.spoil(), 11))
    bench.options['--missing'] = 'drop'


@fault('labels', 'WARN', 'mind that UAR', also=['missing clips'])
def only_test_clip_of_a_class_dropped(bench):
    shutil.rmtree(clip_dir(bench.spoil(), 10))
    bench.options['--missing'] = 'drop'


@fault('data', 'FAIL', '--data-root')
def root_absent(bench):
    bench.root = bench.folder / 'nowhere'


@fault('data', 'FAIL', '--source')
def only_frames_and_videos_wanted(bench):
    bench.options['--source'] = 'videos'


@fault('empty files', 'FAIL', 'unpack these clips again')
def frame_of_zero_bytes(bench):
    frame_path(bench.spoil(), 10, 1).write_bytes(b'')


@fault('decode', 'FAIL', 'unpack these clips again')
def jpeg_cut_off(bench):
    path = frame_path(bench.spoil(), 10, 1)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@fault('decode', 'FAIL', 'unpack these clips again')
def page_of_an_error_as_a_frame(bench):
    frame_path(bench.spoil(), 10, 1).write_text('<html>404</html>')


@fault('frame sizes', 'FAIL', "bad_data='resample'")
def frame_of_another_size(bench):
    write_frame(frame_path(bench.spoil(), 10, 1), size=(20, 32))


@fault('frame sizes', 'WARN', 'crop-faces')
def frame_of_another_size_that_is_passed_over(bench):
    frame_of_another_size(bench)
    bench.config += """
custom_hooks = [
    dict(type='ClassCountsHook'),
    dict(type='SafeDataHook', bad_data='resample'),
]
"""


@fault('frame sizes', 'WARN', 'crop-faces')
def frame_of_another_size_that_no_hook_minds(bench):
    frame_of_another_size(bench)
    bench.config += "custom_hooks = [dict(type='ClassCountsHook')]\n"


@fault('frame colours', 'WARN', 'RGB')
def frame_in_greyscale(bench):
    write_frame(frame_path(bench.spoil(), 10, 1), mode='L')


@fault('frame colours', 'WARN', 'RGB')
def frame_in_cmyk(bench):
    write_frame(frame_path(bench.spoil(), 10, 1), mode='CMYK')


def copy_clip(root, source, target):
    for frame in range(3):
        shutil.copy(
            frame_path(root, source, frame), frame_path(root, target, frame)
        )


@fault('duplicates', 'WARN', 'which name is right')
def clip_twice_in_one_group(bench):
    copy_clip(bench.spoil(), 2, 7)  # both tested in fold 3


@fault('duplicates', 'FAIL', 'which name is right')
def clip_of_test_in_train_by_another_name(bench):
    copy_clip(bench.spoil(), 5, 11)


# -- split files


def rewrite(bench, fold, split, change):
    root = bench.root if bench.root != bench.whole else bench.spoil()
    rows = rows_of(fold, split)
    write_dfew_split(root, split, change(rows), fold)


@fault('split files', 'FAIL', 'restore the split file')
def label_out_of_range_in_another_fold(bench):
    rewrite(bench, 3, 'train', lambda rows: [(rows[0][0], 9), *rows[1:]])


@fault('split files', 'FAIL', 'restore the split file')
def clip_listed_twice(bench):
    rewrite(bench, 3, 'test', lambda rows: [*rows, rows[0]])


@fault('split files', 'WARN', 'unpack the split files')
def split_file_absent(bench):
    folder = bench.spoil() / 'EmoLabel_DataSplit'
    (folder / 'test(single-labeled)/set_2.csv').unlink()


@fault('data', 'FAIL', 'restore the split file')
def split_file_of_this_fold_damaged(bench):
    rewrite(bench, 1, 'train', lambda rows: [('x', 1), *rows[1:]])


@fault('folds', 'FAIL', 'restore the split file')
def test_clip_in_place_of_a_training_clip(bench):
    spy = rows_of(4, 'test')[0]

    def change(rows):
        place = next(i for i, row in enumerate(rows) if row[1] == spy[1])
        return [*rows[:place], spy, *rows[place + 1 :]]

    rewrite(bench, 4, 'train', change)


@fault('counts', 'FAIL', 'restore the split file', also=['folds'])
def row_lost_in_one_fold(bench):
    rewrite(bench, 5, 'test', lambda rows: rows[1:])


@fault('counts', 'FAIL', 'restore the split file')
def clip_lost_in_all_folds(bench):
    for fold in range(1, 6):
        for split in ('train', 'test'):
            rewrite(
                bench, fold, split, lambda rows: [r for r in rows if r[0] != 8]
            )


@fault('folds', 'FAIL', 'restore the split file')
def labels_swapped_in_one_fold(bench):
    def change(rows):
        (one, a), (other, b), *rest = rows
        return [(one, b), (other, a), *rest]

    rewrite(bench, 2, 'train', change)


of_config(
    'slice for validation left in train',
    'overlap',
    'FAIL',
    'val_ratio',
    'train_dataloader = dict(dataset=dict(val_ratio=0))\n',
)
of_config(
    'test of another fold than train',
    'overlap',
    'FAIL',
    'same fold',
    'test_dataloader = dict(dataset=dict(fold=2))\n',
    also=['selection'],
)


@fault('selection', 'WARN', '--val-ratio')
def checkpoint_chosen_on_test(bench):
    bench.options['--val-ratio'] = '0'
