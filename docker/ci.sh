#!/usr/bin/env bash
# Builds the image and works in it, on a Debian 12 that reaches apt and PyPI but no registry of images.
#
#   docker/ci.sh                       all of it, as .ci/run does
#   docker/ci.sh build [TARGET ...]    only builds, and leaves the images in the store
#
# The store lies outside of the clone, in $ROADSENSE_CI_STORE, and is used again by the next call: so only what changed
# is built. Nothing under /etc is changed.
set -euo pipefail
cd "$(dirname "$0")/.."
base=localhost/python:3.11-slim-bookworm
store=${ROADSENSE_CI_STORE:-/var/tmp/roadsense-ci}
mkdir -p "$store"

install_engine() {
  local packages=(podman runc mmdebstrap skopeo docker-registry shellcheck) missing=()
  for name in "${packages[@]}"; do command -v "$name" >/dev/null || missing+=("$name"); done
  [ ${#missing[@]} -eq 0 ] && return
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

configure_engine() {
  cat > "$store/storage.conf" <<EOF
[storage]
driver = "overlay"
graphroot = "$store/storage"
runroot = "$store/run"
EOF
  # crun refuses the mixed tree of control groups that many CI machines have; podman's own limits of files and
  # processes need a capability that they lack.
  cat > "$store/containers.conf" <<'EOF'
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
EOF
  export CONTAINERS_STORAGE_CONF="$store/storage.conf" CONTAINERS_CONF="$store/containers.conf"
}

# Debian's own Python 3.11 stands in for the image that docker/Dockerfile begins with.
# shellcheck disable=SC2016  # apt and mmdebstrap expand what is quoted
make_base() {
  local mirror
  podman image exists "$base" && return
  mirror=$(apt-get indextargets --format '$(SITE)' | awk '!/security/ && !n++')
  mmdebstrap --quiet --variant=minbase --skip=output/dev --include=ca-certificates,python3,python3-pip,python3-venv \
    --customize-hook='rm -f "$1"/usr/lib/python3.11/EXTERNALLY-MANAGED' \
    --customize-hook='ln -s python3.11 "$1"/usr/bin/python' \
    bookworm "$store/base.tar" "$mirror"
  podman import -q -c 'CMD ["python3"]' "$store/base.tar" "$base" >/dev/null
  rm "$store/base.tar"
}

build() { # build TARGET
  local started=$SECONDS mounts=() arguments=() value file
  for value in $build_args; do arguments+=(--build-arg "$value"); done
  for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
    [ -r "$file" ] && mounts+=(-v "$file:$file:ro")
  done
  [ -d "${PIP_FIND_LINKS:-}" ] && mounts+=(-v "$PIP_FIND_LINKS:/wheels:ro")
  podman build -q --pull=never --network=host --format=docker "${mounts[@]}" "${arguments[@]}" \
    --build-arg "GIT_COMMIT=$(git rev-parse HEAD)" --target "$1" -f docker/Dockerfile -t "roadsense:$1" . >/dev/null
  say "roadsense:$1 built in $((SECONDS - started)) s, $(podman image inspect -f '{{.Size}}' "roadsense:$1" |
    awk '{printf "%.2f GB", $1 / 1e9}')"
}

say() { printf 'container: %s\n' "$*"; }

build_args="BASE=$base"
[ -n "${TORCH_INDEX+set}" ] && build_args+=" TORCH_INDEX=$TORCH_INDEX"
# The CPU build of PyTorch: from a folder of wheels, if $PIP_FIND_LINKS is one.
[ -d "${PIP_FIND_LINKS:-}" ] && build_args+=" PIP_FIND_LINKS=/wheels"

install_engine
configure_engine
make_base
targets=(run test)
if [ "${1:-}" = build ] && [ $# -gt 1 ]; then targets=("${@:2}"); fi
for target in "${targets[@]}"; do build "$target"; done
[ "${1:-}" = build ] && exit
started=$SECONDS
export ROADSENSE_CONTAINER_TESTS=1 ROADSENSE_ENGINE=podman ROADSENSE_CI_BUILD_ARGS=$build_args
"${PYTHON:-.venv/bin/python}" -m pytest -q tests/container
say "worked in it in $((SECONDS - started)) s"
