#!/usr/bin/env bash
# Runs the project in its image, with docker or podman. What it reads and writes lies in the project's own folders:
# scenarios/, runs/ and notebooks/ are mounted, so paths mean the same inside as outside.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: docker/run_docker.sh COMMAND [arguments]

  generate, train, evaluate, export   as `roadsense gen-scenarios`, `train`, `evaluate`, `export`, with their options
  run NOTEBOOK [-p NAME VALUE ...]    runs a notebook, and keeps the executed copy in runs/notebooks
  lab                                 JupyterLab on 127.0.0.1, with its token
  test [pytest's arguments]           the quick tests, or those named
  bash [arguments]                    a shell in the image
  gui [arguments of sumo-gui]         SUMO's window, on this X11 display
  build [TARGET]                      builds the image: run (default), export, lab, gui or test

Environment:
  ROADSENSE_ENGINE      docker or podman; by default the first that answers
  ROADSENSE_IMAGE       an image to run instead of the one built here
  ROADSENSE_SCENARIOS, ROADSENSE_RUNS, ROADSENSE_NOTEBOOKS
                        folders to mount instead of scenarios, runs and notebooks
  ROADSENSE_PORT        of JupyterLab; 8888 by default
  TORCH_INDEX           where `build` finds PyTorch for CPUs, by default PyTorch's own index; empty: the usual index,
                        with CUDA
EOF
}

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
inside=/opt/roadsense

fail() { printf 'error: %s\n' "$1" >&2; exit 2; }

find_engine() {
  local program
  for program in ${ROADSENSE_ENGINE:-docker podman}; do
    if "$program" info >/dev/null 2>&1; then engine=$program; return; fi
  done
  fail "Expected ${ROADSENSE_ENGINE:-docker or podman} to answer, got nothing. Install and start one of them."
}

build() {
  local target=${1:-run} options=()
  case $target in
    run | export | lab | gui | test) ;;
    *) fail "Expected a target of run, export, lab, gui and test, got '$target'." ;;
  esac
  [ -n "${TORCH_INDEX+set}" ] && options+=(--build-arg "TORCH_INDEX=$TORCH_INDEX")
  is_podman && options+=(--format=docker)
  "$engine" build "${options[@]}" --target "$target" --build-arg "GIT_COMMIT=$(commit)" \
    -f "$project/docker/Dockerfile" -t "roadsense:$target" "$project"
}

commit() { git -C "$project" rev-parse HEAD 2>/dev/null || echo unknown; }

is_podman() { "$engine" --version | grep -qi podman; }

# Sets `image`, built if it isn't there; says so if it is of another commit.
need_image() { # need_image TARGET
  image=${ROADSENSE_IMAGE:-roadsense:$1}
  if ! "$engine" image inspect "$image" >/dev/null 2>&1; then
    [ -z "${ROADSENSE_IMAGE:-}" ] || fail "Expected the image $image in the store of $engine, found none. Pull it."
    build "$1" >&2
  fi
  local built
  built=$("$engine" image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}' "$image")
  case $(commit) in unknown | "$built") return ;; esac
  [ -n "${ROADSENSE_IMAGE:-}" ] || printf 'note: %s is of commit %s, this is %s; renew it with: %s build %s\n' \
    "$image" "${built:0:12}" "$(commit | cut -c1-12)" "$0" "$1" >&2
}

# Prints the engine's option that mounts a folder of this machine.
mount() { # mount FOLDER NAME VARIABLE
  [ -d "$1" ] || fail "Expected a folder for $2 at $1, found none. Make it, or name another: $3=..."
  case $(realpath "$1") in
    *,*) fail "Expected a path without a comma, which $engine cannot mount, got $(realpath "$1"). Name another: $3=..." ;;
  esac
  printf '%s' "--mount=type=bind,source=$(realpath "$1"),target=$inside/$2"
}

# Starts a container: read-only, with no network unless an option gives it one, as the calling user, with no further
# rights, at most 4096 processes and 90 % of this machine's memory.
start() { # start TARGET [engine's options ...] -- [entrypoint and its arguments ...]
  local target=$1 network=--network=none options=(); shift
  while [ "$1" != -- ]; do
    case $1 in --network=*) network=$1 ;; *) options+=("$1") ;; esac
    shift
  done
  shift
  need_image "$target"
  local entry=$1; shift
  local scenarios=${ROADSENSE_SCENARIOS:-$project/scenarios} runs=${ROADSENSE_RUNS:-$project/runs}
  local notebooks=${ROADSENSE_NOTEBOOKS:-$project/notebooks}
  mkdir -p "$runs" || fail "Expected to make the folder of runs at $runs, but could not. Name another: ROADSENSE_RUNS=..."
  # With sudo, files belong to who called it, not to root.
  local user=${SUDO_UID:-$(id -u)}:${SUDO_GID:-$(id -g)}
  [ "$(id -u)" = 0 ] && chown "$user" "$runs"
  is_podman && [ "$(id -u)" != 0 ] && options+=(--userns=keep-id)
  [ -t 0 ] && [ -t 1 ] && options+=(--tty)
  [ -r /proc/meminfo ] && options+=("--memory=$(awk '/^MemTotal:/ { printf "%d", 0.9 * $2 }' /proc/meminfo)k")
  local mounts
  mounts=("$(mount "$scenarios" scenarios ROADSENSE_SCENARIOS)") || exit
  mounts+=("$(mount "$runs" runs ROADSENSE_RUNS)") || exit
  mounts+=("$(mount "$notebooks" notebooks ROADSENSE_NOTEBOOKS)") || exit
  exec "$engine" run --rm --interactive --name "roadsense-$command-$$" --user "$user" --cap-drop=ALL \
    --security-opt=no-new-privileges --pids-limit=4096 --read-only --tmpfs=/tmp --shm-size=1g "$network" "${mounts[@]}" "${options[@]}" --entrypoint "$entry" "$image" "$@"
}

# The image a notebook runs in: only the export needs TensorFlow.
target_of() { if grep -qsE 'roadsense\.export|import tensorflow' "$@"; then echo export; else echo run; fi; }

start_lab() {
  local port=${ROADSENSE_PORT:-8888}
  [[ $port =~ ^[0-9]+$ ]] || fail "Expected a number in ROADSENSE_PORT, got '$port'."
  if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    fail "Expected port $port to be free, but something listens on it. Choose another: ROADSENSE_PORT=..."
  fi
  start lab --network=bridge --publish "127.0.0.1:$port:$port" --env "ROADSENSE_PORT=$port" -- jupyter lab --ip=0.0.0.0 --port="$port" \
    --ServerApp.port_retries=0 --no-browser --allow-root --notebook-dir="$inside" \
    --LabApp.default_url=/lab/tree/notebooks/00_augment.ipynb "$@"
}

start_gui() {
  [ -n "${DISPLAY:-}" ] || fail "Expected an X11 display in \$DISPLAY, got none."
  local options=(--env DISPLAY --volume /tmp/.X11-unix:/tmp/.X11-unix)
  [ -r "${XAUTHORITY:-$HOME/.Xauthority}" ] &&
    options+=(--env XAUTHORITY=/run/xauthority --volume "${XAUTHORITY:-$HOME/.Xauthority}:/run/xauthority:ro")
  start gui "${options[@]}" -- sumo-gui "$@"
}

start_tests() {
  [ $# -gt 0 ] || mapfile -t quick < "$project/docker/quick_tests.txt"
  start test -- python -m pytest -q -p no:cacheprovider "${@:-${quick[@]}}"
}

command=${1:-help}
[ $# -gt 0 ] && shift
case $command in
  help | -h | --help) usage; exit ;;
  generate | train | evaluate | export | run | lab | test | bash | gui | build) find_engine ;;
  *) usage >&2; fail "Expected one of these commands, got '$command'." ;;
esac
case $command in
  generate) start run -- roadsense gen-scenarios "$@" ;;
  train | evaluate) start run -- roadsense "$command" "$@" ;;
  export) start export -- roadsense export "$@" ;;
  run) start "$(cd "$project" && target_of "${1:-}")" -- roadsense run "$@" ;;
  lab) start_lab "$@" ;;
  test) start_tests "$@" ;;
  bash) start run -- bash "$@" ;;
  gui) start_gui "$@" ;;
  build) build "$@" ;;
esac
