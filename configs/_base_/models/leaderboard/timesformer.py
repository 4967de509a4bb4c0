# MMAction2's TimeSformer, of 16 frames. Weights trained on Kinetics come by
# --cfg-options load_from=FILE; those for 8 frames have other positions in
# time, which the log then calls a mismatch.
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='TimeSformer',
        num_frames=16,
        img_size=224,
        patch_size=16,
        attention_type='divided_space_time',
    ),
    cls_head=dict(
        type='TimeSformerHead',
        num_classes=7,
        in_channels=768,
        label_smooth_eps=0.1,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='BagDataPreprocessor',
        view='clip',
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
    ),
)
