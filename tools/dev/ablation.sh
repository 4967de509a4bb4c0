#!/usr/bin/env bash
# Trains and tests the rows of docs/ablation.md: parts of MICACL, settings of
# MCCL and answers to long tails on the open benchmark, seeds 0, 1 and 2.
#
#   tools/dev/ablation.sh data/benchmark/medium parts
#   tools/dev/ablation.sh data/benchmark/medium mccl
#   tools/dev/ablation.sh data/benchmark/medium tail
#
# Further options go to `micacl kfold`. After an interruption, repeat the
# command. A failed run does not stop the others; the exit code is then 1.
set -uo pipefail
if [ $# -lt 2 ]; then
  echo "usage: $0 ROOT parts|mccl|tail [options of micacl kfold]" >&2
  exit 2
fi
root=$(realpath "$1") group=$2
shift 2
extra=("$@")
cd "$(dirname "$0")/../.."
loss=model.neck.aux_loss
hard=model.cls_head.label_smooth_eps=0.0
failed=0

# train NAME CONFIG [SETTING ...]
train() {
  local name=$1 config=$2 code=0
  shift 2
  local settings=()
  [ $# -eq 0 ] || settings=(--cfg-options "$@")
  python -m micacl_mm kfold "leaderboard/$config" --name "$name" \
    --data-root "$root" --seeds 0 1 2 --selection last \
    --work-dir "work_dirs/ablation/$(basename "$root")/$name" \
    "${extra[@]}" "${settings[@]}" || code=$?
  [ $code -ne 130 ] || exit 130 # Ctrl-C
  [ $code -eq 0 ] || failed=1
}

parts() {
  local method
  for method in r3d18_mil m3dfel supcon weighted_ce balanced_sampling focal \
    logit_adjustment geiim wian geiim_wian mccl geiim_wian_mccl; do
    train "$method" "$method"
  done
}

# One setting of MCCL changed each, and what WIAN adds its chain to; the last
# of the parts is the reference.
mccl() {
  train scales_1 geiim_wian_mccl "$loss.scales=[1]"
  train scales_1_2 geiim_wian_mccl "$loss.scales=[1,2]"
  train form_ratio geiim_wian_mccl "$loss.form=ratio"
  train form_out geiim_wian_mccl "$loss.form=out"
  train temperature_per_class geiim_wian_mccl "$loss.temperature_mode=per_class"
  train class_weight_none geiim_wian_mccl "$loss.class_weight=none"
  train prototypes geiim_wian_mccl "$loss.prototypes=True"
  train projection geiim_wian_mccl "$loss.projection_channels=128"
  train weight_0.03 geiim_wian_mccl "$loss.loss_weight=0.03"
  train weight_0.3 geiim_wian_mccl "$loss.loss_weight=0.3"
  train weight_1 geiim_wian_mccl "$loss.loss_weight=1.0"
  train weighted_mean geiim_wian_mccl "model.neck.necks.1.residual=weighted"
}

# The parts together with an answer to the tail, and what the hard labels of
# some answers do without them.
tail() {
  local sampler=train_dataloader.sampler
  local sampling=("$sampler._delete_=True"
    "$sampler.type=ClassBalancedSampler" "$sampler.power=0.5")
  train r3d18_mil_hard r3d18_mil "$hard"
  train geiim_wian_hard geiim_wian "$hard"
  train r3d18_mil_sampling r3d18_mil "${sampling[@]}"
  train geiim_wian_sampling geiim_wian "${sampling[@]}"
  train geiim_wian_mccl_sampling geiim_wian_mccl "${sampling[@]}"
  train micacl_plus_without_mccl micacl_plus_without_mccl
  train micacl_plus micacl_plus
}

case $group in
  parts | mccl | tail) "$group" ;;
  *) echo "no group '$group': parts, mccl or tail" >&2 && exit 2 ;;
esac
exit $failed
