# The reference's R3D-18 on one clip of all frames: no instances, no bag.
_base_ = './r3d18_mil.py'
model = dict(
    neck=None,
    data_preprocessor={{_base_.one_clip}},
)
