#!/usr/bin/env bash
# Trains and tests the rows of the ablation: parts of MICACL, answers to long
# tails and forms of MCCL on the open benchmark, seeds 0, 1 and 2.
#
#   tools/ablation.sh data/benchmark/medium parts --jobs 2
#   tools/ablation.sh data/benchmark/medium mccl --jobs 2
#   tools/ablation.sh data/benchmark/medium tail --jobs 2
#
# What follows goes to tools/kfold.py. Stopped, the same command goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$1 group=$2
shift 2
extra=("$@")
configs=configs/leaderboard/synthetic
loss=model.neck.aux_loss

# train NAME CONFIG [SETTING ...]
train() {
  local name=$1 config=$2
  shift 2
  local settings=()
  [ $# -eq 0 ] || settings=(--cfg-options "$@")
  python tools/kfold.py "$configs/$config.py" --name "$name" \
    --data-root "$root" --seeds 0 1 2 --selection last \
    --work-dir "work_dirs/ablation/$name" "${extra[@]}" "${settings[@]}"
}

parts() {
  local method
  for method in r3d18_mil m3dfel supcon weighted_ce balanced_sampling focal \
    logit_adjustment geiim wian geiim_wian mccl micacl; do
    train "$method" "$method"
  done
}

# One setting of MCCL changed each; micacl of the parts is the reference.
mccl() {
  train scales_1 micacl "$loss.scales=[1]"
  train scales_1_2 micacl "$loss.scales=[1,2]"
  train form_ratio micacl "$loss.form=ratio"
  train form_out micacl "$loss.form=out"
  train temperature_per_class micacl "$loss.temperature_mode=per_class"
  train class_weight_none micacl "$loss.class_weight=none"
  train prototypes micacl "$loss.prototypes=True"
  train weight_0.03 micacl "$loss.loss_weight=0.03"
  train weight_0.3 micacl "$loss.loss_weight=0.3"
  train weight_1 micacl "$loss.loss_weight=1.0"
}

# The parts together with an answer to the tail.
tail() {
  local sampler=train_dataloader.sampler
  local head=model.cls_head ce=model.cls_head.loss_cls
  local sampling=("$sampler._delete_=True"
    "$sampler.type=ClassBalancedSampler" "$sampler.power=0.5")
  local adjustment=("$head.label_smooth_eps=0.0"
    "$ce.type=LongTailCrossEntropyLoss" "$ce.num_classes=7"
    "$ce.logit_adjustment=1.0")
  train r3d18_mil_sampling r3d18_mil "${sampling[@]}"
  train geiim_wian_sampling geiim_wian "${sampling[@]}"
  train micacl_sampling micacl "${sampling[@]}"
  train geiim_wian_adjustment geiim_wian "${adjustment[@]}"
  train micacl_adjustment micacl "${adjustment[@]}"
}

case $group in
  parts | mccl | tail) "$group" ;;
  *) echo "no group '$group': parts, mccl or tail" >&2 && exit 2 ;;
esac
