#!/usr/bin/env bash
# Installs RoadSense's packages into a virtual environment, in the versions of requirements.lock.
#
# usage: install/install.sh [--packages-only | --wheel FILE] VENV [EXTRA ...]
#
#   VENV             the environment; it is made if it isn't there
#   EXTRA            extras of pyproject.toml, for instance train, export, notebooks, dev
#   --packages-only  without RoadSense itself
#   --wheel          RoadSense from a wheel, not from this folder
#
# Environment:
#   PYTHON           the Python to take; by default python3.11, else python3.12, else python3.13
#   TORCH_INDEX      an index that has PyTorch for CPUs; by default PyTorch's own. Empty: none
#   PIP_FIND_LINKS   a folder of wheels to look in first; pip's other ways to set it count as well
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lock=$project/requirements.lock
torch_index=${TORCH_INDEX-https://download.pytorch.org/whl/cpu}
system_libraries="libx11-6 libxext6 libxrender1 libgl1 libatomic1"

say() { printf 'install: %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

find_python() {
  local name
  for name in ${PYTHON:-python3.11 python3.12 python3.13}; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      python=$name
      return
    fi
  done
  fail "Expected ${PYTHON:-Python 3.11, 3.12 or 3.13}, found none that runs. Install one, or name it: PYTHON=..."
}

make_environment() {
  [ -x "$venv/bin/python" ] && return
  find_python
  say "$("$python" --version) of $python, in $venv"
  "$python" -m venv "$venv" || fail "Python's venv is missing; on Debian and Ubuntu: apt-get install python3-venv"
}

# uv ignores pip's settings: those that say where packages are, and whom to believe, go on to it.
pip_setting() { "$venv/bin/pip" config list | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | tail -n 1; }

prepare_uv() {
  uv=$(command -v uv) || uv=$venv/bin/uv
  [ -x "$uv" ] || "$venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$lock" uv
  local links index certificates
  links=$(pip_setting find-links) index=$(pip_setting index-url) certificates=$(pip_setting cert)
  if [ -n "$links" ]; then export UV_FIND_LINKS=${UV_FIND_LINKS:-${links//[[:space:]]/,}}; fi
  if [ -n "$index" ]; then export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}; fi
  if [ -n "$certificates" ]; then export SSL_CERT_FILE=${SSL_CERT_FILE:-$certificates}; fi
  export UV_PYTHON=$venv/bin/python UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-180}
}

uv_install() { "$uv" pip install --quiet --constraint "$lock" "$@"; }

index_answers() {
  timeout 5 "$venv/bin/python" - "$torch_index/torch/" 2>/dev/null <<'EOF'
import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=4).read(1)
EOF
}

# Sets `torch_options`: uv's options for a PyTorch without CUDA, where there is one.
find_torch() {
  torch_options=()
  "$uv" pip show --quiet torch 2>/dev/null && return
  if uv_install --dry-run --no-index --no-deps torch 2>/dev/null; then
    say "PyTorch for CPUs from this machine"
  elif [ -n "$torch_index" ] && index_answers; then
    say "PyTorch for CPUs from $torch_index"
    torch_options=(--index "$torch_index" --index-strategy unsafe-best-match)
  else
    say "PyTorch with CUDA from the usual index, as none for CPUs was reached: 2.5 GB more to download, 4 GB more on disk"
  fi
}

# eclipse-sumo and libsumo each bring the same 230 MB of libraries: equal files are kept once.
link_libraries() {
  local file twin
  for file in "$venv"/lib/python3*/site-packages/libsumo.libs/*; do
    twin=${file/libsumo.libs/eclipse_sumo.libs}
    if cmp --silent "$file" "$twin"; then ln -f "$twin" "$file"; fi
  done
}

what=project
case ${1:-} in
  --packages-only) what=packages; shift ;;
  --wheel) what=$(realpath "$2"); shift 2 ;;
esac
[ $# -gt 0 ] || fail "Expected a folder for the environment, got none. usage: install/install.sh VENV [EXTRA ...]"
venv=$1; shift
extras=$(IFS=,; echo "$*")

make_environment
prepare_uv
torch_options=()
case ,$extras, in *,train,* | *,dev,*) find_torch ;; esac
case $what in
  *.whl) uv_install "${torch_options[@]}" "roadsense[$extras] @ file://$what" ;;
  *) uv_install "${torch_options[@]}" "${@/#/--extra=}" --requirement "$project/pyproject.toml" setuptools ;;
esac
link_libraries
"$venv/bin/python" -c 'import libsumo' 2>/dev/null ||
  fail "SUMO lacks libraries of the system; on Debian and Ubuntu: apt-get install $system_libraries"
if [ "$what" = project ]; then uv_install --build-constraints "$lock" --no-deps --editable "$project"; fi
