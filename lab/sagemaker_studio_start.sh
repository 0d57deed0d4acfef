#!/usr/bin/env bash
# Lifecycle script for a JupyterLab space of SageMaker Studio: installs RoadSense in an environment of its own, with a
# kernel of its own, once; later starts take a second. Names in capitals may be set in the space's environment.
#
# It fits into a space's default 5 GB: PyTorch for CPUs, and no TensorFlow, which only 03_export needs.
# Studio ends a lifecycle script after five minutes, so the installation goes on in the background and says in
# ~/roadsense-install.log how far it is.
set -euo pipefail

REPOSITORY="${ROADSENSE_REPOSITORY:-}"                  # address of the repository, unless the folder is there already
FOLDER="${ROADSENSE_FOLDER:-$HOME/roadsense}"           # on the space's own disk: it stays when the space is stopped
ENVIRONMENT="${ROADSENSE_ENVIRONMENT:-$HOME/.roadsense-venv}"
LOG="$HOME/roadsense-install.log"

install_roadsense() {
  if [ ! -d "$FOLDER" ]; then
    if [ -z "$REPOSITORY" ]; then
      echo "Expected the project in $FOLDER, found nothing. Clone it there, or set ROADSENSE_REPOSITORY."
      return 2
    fi
    git clone --depth 1 "$REPOSITORY" "$FOLDER"
  fi
  local fingerprint
  fingerprint="$(cat "$FOLDER/requirements.lock" "$FOLDER/pyproject.toml" | sha256sum)"
  if [ "$(cat "$ENVIRONMENT/.ready" 2>/dev/null)" != "$fingerprint" ]; then
    # shellcheck disable=SC2086  # several words
    if ! command -v ${ROADSENSE_PYTHON:-python3.11 python3.12 python3.13} >/dev/null; then
      conda create --quiet --yes --prefix "$ENVIRONMENT" python=3.11
    fi
    PYTHON="${ROADSENSE_PYTHON:-}" "$FOLDER/install/install.sh" "$ENVIRONMENT" notebooks sagemaker train
    echo "$fingerprint" >"$ENVIRONMENT/.ready"
  fi
  # The notebooks ask for the kernel `python3`: this one takes its place for this user.
  "$ENVIRONMENT/bin/python" -m ipykernel install --user --name python3 --display-name RoadSense
  (cd "$FOLDER" && "$ENVIRONMENT/bin/roadsense" doctor) || echo "Something is missing: see above."
  echo "RoadSense is ready: open $FOLDER/notebooks/README.md"
}

if [ "${1:-}" = "--wait" ]; then
  install_roadsense
else
  export -f install_roadsense
  export REPOSITORY FOLDER ENVIRONMENT
  nohup bash -c "set -euo pipefail; install_roadsense" >"$LOG" 2>&1 &
  echo "Installing RoadSense in the background; $LOG says how far it is."
fi
