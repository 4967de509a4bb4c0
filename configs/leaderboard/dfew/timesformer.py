_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/datasets/dfew_16x224.py',
    '../../_base_/models/leaderboard/timesformer.py',
    '../../_base_/schedules/adamw_300e_scaled.py',
]
departures = {
    '*pipeline.*.scale': 'its published weights are for 224 px',
    '*dataloader.batch_size': 'the memory that 224 px take',
}
