from mmaction.structures import ActionDataSample


def samples(labels):
    return [ActionDataSample().set_gt_label(int(label)) for label in labels]
