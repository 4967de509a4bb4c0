#!/usr/bin/env bash
# Train on a slurm cluster: one task a GPU, joined by MMEngine.
#
#   GPUS=16 tools/slurm_train.sh PARTITION JOB_NAME CONFIG [OPTIONS ...]
#
# OPTIONS are those of tools/train.py. From the environment:
#   GPUS           processes in all (8)
#   GPUS_PER_NODE  processes of a node (8, or GPUS if that is less)
#   CPUS_PER_TASK  cores of a process, for the data workers (8)
#   SRUN_ARGS      further options of srun, e.g. "--time=1-0 --qos=long"
#   PYTHON         interpreter (python)
#   MASTER_PORT    port where the ranks meet (by chance, 20000 to 52767)
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
partition=$1 job_name=$2
shift 2
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
# srun hands it to all ranks; two jobs on one node must not share it.
export MASTER_PORT=${MASTER_PORT:-$((20000 + RANDOM))}
# shellcheck disable=SC2086  # SRUN_ARGS is several words
exec srun --partition="$partition" --job-name="$job_name" \
  --ntasks="$gpus" --ntasks-per-node="$per_node" \
  --gres="gpu:$per_node" --cpus-per-task="${CPUS_PER_TASK:-8}" \
  --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$(dirname "$0")/train.py" --launcher slurm "$@"
