#!/usr/bin/env bash
# Runs the core of the tests on the lowest and highest versions admitted.
#
#   tools/dev/test_versions.sh                     those of docs/maintainers.md
#   tools/dev/test_versions.sh 3.11:2.8.0:1.26.4   Python, torch and NumPy
#
# Installs the last commit with its extra "stack" into a new environment for
# each. torch's wheels for Linux need some 3 GB of CUDA packages even where
# there is no GPU; if your index has CPU builds, name it by pip's variables.
# Exit code 1 if an environment could not be made or a test failed.
set -uo pipefail
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- 3.10:2.6.0:1.26.0 3.11:2.13.0:1.26.4 3.12:2.13.0:1.26.4
core=(
  tests/test_compat.py tests/test_configs.py tests/test_end_to_end.py
  tests/models/test_layers.py
  tests/models/test_necks.py tests/models/test_mccl_loss.py
  tests/models/test_long_tail_loss.py tests/models/test_recognizers.py
  tests/datasets/test_split_files.py
  tests/datasets/test_class_folder_dataset.py tests/hooks/test_hooks.py
  tests/records/test_rows.py tests/security/test_checkpoints.py
)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
failed=0

# run PYTHON TORCH NUMPY
run() {
  local copy=$folder/$1-$2-$3
  mkdir "$copy" && git archive HEAD | tar -x -C "$copy" || return 1
  "python$1" -m venv "$copy/venv" || return 1
  "$copy/venv/bin/python" -m pip install -q "$copy[stack]" "torch==$2" \
    "numpy==$3" pytest pytest-xdist hypothesis openpyxl scikit-learn || return 1
  (cd "$copy" && venv/bin/python -m pytest -q -n0 -m 'not slow' "${core[@]}")
}

for versions; do
  echo "--- Python, torch, NumPy: $versions"
  run ${versions//:/ } || failed=1
done
exit $failed
