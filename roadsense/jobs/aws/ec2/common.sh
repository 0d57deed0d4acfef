#!/bin/bash
# Runs once, as root, when the machine starts. Holds no secret: anybody on the machine can read it.
set -u -o pipefail

#SETTINGS#

ROOT=/opt/ml
STATE=/run/roadsense
LOG=/var/log/roadsense.log
CONTAINER=roadsense
METADATA=http://169.254.169.254/latest

# This comes before anything that could hang: the machine ends in any case. SECONDS counts from here, too.
END_S=$((LIMIT_S + GRACE_S))
shutdown -h "+$(((END_S + 59) / 60))"

CONSOLE=/dev/console
[ -w "$CONSOLE" ] || CONSOLE=/dev/null
mkdir -p "$STATE" "$ROOT/input/config" "$ROOT/input/data" "$ROOT/model" "$ROOT/output/data" "$ROOT/checkpoints"
exec > >(tee -a "$LOG" "$CONSOLE") 2>&1
TEE=$!
STARTED=$(date -u +%FT%TZ)

say() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*"; }

# bounded COMMAND: runs a command no longer than until the limit, so that there is time left to upload what there is.
bounded() {
  local left_s=$((LIMIT_S - SECONDS))
  [ "$left_s" -gt 0 ] && timeout "$left_s" "$@"
}

retry() {
  local n
  for n in 1 2 3 4 5; do
    bounded "$@" && return
    say "try $n of 5 failed: $1 ${2-}"
    [ "$SECONDS" -lt "$LIMIT_S" ] || return
    sleep "$RETRY_S"
  done
  return 1
}

# fail CODE REASON: ends the job; the reason is the first thing its owner reads.
fail() {
  local reason=$2
  [ "$SECONDS" -lt "$LIMIT_S" ] || reason="the limit of $LIMIT_S s was over before the job could begin: $2"
  say "failed: $reason"
  printf '%s\n' "$reason" >"$ROOT/output/failure"
  exit "$1"
}

metadata() {
  local token
  token=$(curl -sf -m 5 -X PUT "$METADATA/api/token" -H 'X-aws-ec2-metadata-token-ttl-seconds: 300') || return
  curl -sf -m 5 -H "X-aws-ec2-metadata-token: $token" "$METADATA/meta-data/$1"
}

put() { aws s3 cp --only-show-errors "$1" "$PLACE/$2"; }

put_folder() { aws s3 sync --only-show-errors --exclude '.*' --exclude '*/.*' "$1" "$PLACE/$2"; }

# The AWS CLI comes first: without it, not even a failure could be reported. Version 2; Amazon Linux has it.
install_cli() {
  command -v aws >/dev/null && return
  if [ "$SYSTEM" = ubuntu ]; then
    retry snap install aws-cli --classic --channel=v2/stable && ln -sf /snap/bin/aws /usr/local/bin/aws
  else
    retry dnf install -y -q awscli-2
  fi
}

install_docker() {
  if [ "$SYSTEM" = ubuntu ]; then
    retry apt-get -o DPkg::Lock::Timeout=300 update -q &&
      retry apt-get -o DPkg::Lock::Timeout=300 install -y -q docker.io "${PACKAGES[@]}" || return
  else
    retry dnf install -y -q docker "${PACKAGES[@]}" || return
  fi
  bounded systemctl enable --now docker
}

pull_image() {
  case "$IMAGE" in
    *.dkr.ecr.*)
      local region=${IMAGE#*.dkr.ecr.}
      bounded aws ecr get-login-password --region "${region%%.*}" |
        bounded docker login -u AWS --password-stdin "${IMAGE%%/*}" || fail 92 "the registry ${IMAGE%%/*} refused the machine's role"
      ;;
  esac
  retry docker pull -q "$IMAGE" || fail 93 "the image $IMAGE could not be pulled"
}

prepare() {
  export DEBIAN_FRONTEND=noninteractive AWS_DEFAULT_REGION=$REGION
  INSTANCE=$(metadata instance-id) || INSTANCE=unknown
  ATTEMPT=$STATE/attempt
  printf '%s - %s %s\n' "$STARTED" "$USD_PER_HOUR" "$INSTANCE" >"$ATTEMPT"
  say "job $JOB on $INSTANCE, $SYSTEM, at most $LIMIT_S s and $GRACE_S s for uploads"
  install_cli || fail 90 "the AWS CLI could not be installed"
  put "$ATTEMPT" "attempts/$STARTED" || fail 90 "nothing can be written to $PLACE: what is wrong with the machine's role?"
  touch "$STATE/writable"
  install_docker || fail 90 "Docker could not be installed"
  if [ -n "$DATASET" ]; then
    retry aws s3 sync --only-show-errors "$DATASET" "$ROOT/input/data/dataset" ||
      fail 91 "the dataset $DATASET could not be downloaded"
  fi
  retry aws s3 sync --only-show-errors "$PLACE/checkpoints" "$ROOT/checkpoints" ||
    fail 94 "the checkpoints in $PLACE could not be downloaded"
  printf '%s' "$PARAMETERS" | base64 -d >"$ROOT/input/config/hyperparameters.json"
  chmod -R a+rwX "$ROOT"
  pull_image
}

# request_stop REASON: the container gets SIGTERM, writes its checkpoint and ends by itself.
request_stop() {
  local n ids
  [ -s "$STATE/stopped" ] || printf '%s\n' "$1" >"$STATE/stopped"
  say "stopping: $1"
  for n in 1 2 3 4 5; do
    mapfile -t ids < <(docker ps -q --filter "name=$CONTAINER")
    [ "${#ids[@]}" -eq 0 ] || { docker stop -t "$STOP_S" "${ids[@]}" >/dev/null && return; }
    say "no container to stop yet ($n)"
    sleep 2
  done
}

watch_spot() {
  while sleep "$SPOT_EVERY_S"; do
    if metadata spot/instance-action >"$STATE/notice"; then
      say "spot notice: $(cat "$STATE/notice")"
      request_stop "spot interruption"
      return
    fi
  done
}

watch_time() {
  [ "$SECONDS" -ge "$LIMIT_S" ] || sleep $((LIMIT_S - SECONDS))
  request_stop "time limit"
}

watch_files() {
  local next_s=0
  while sleep "$LOG_EVERY_S"; do
    put "$LOG" run.log
    if [ "$SECONDS" -ge "$next_s" ]; then
      put_folder "$ROOT/checkpoints" checkpoints
      next_s=$((SECONDS + SYNC_EVERY_S))
    fi
  done
}

# Each watcher gets a process group of its own, so that it can be ended with whatever it is doing.
start_watching() {
  WATCHERS=()
  set -m
  watch_files &
  WATCHERS+=($!)
  watch_time &
  WATCHERS+=($!)
  if [ "$SPOT" = yes ]; then
    watch_spot &
    WATCHERS+=($!)
  fi
  set +m
}

# Names and sums of everything the job leaves, for whoever fetches it.
# shellcheck disable=SC2317  # called by finish
write_manifest() {
  python3 - "$ROOT" "$LOG" >"$STATE/manifest.json" <<'PYTHON'
import hashlib, json, pathlib, sys
root, log = map(pathlib.Path, sys.argv[1:])
files = {p.relative_to(root).as_posix(): p for d in ("model", "output", "checkpoints") for p in (root / d).rglob("*")}
kept = {n: p for n, p in files.items() if p.is_file() and not any(part.startswith(".") for part in n.split("/"))}
sums = {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in sorted({**kept, "run.log": log}.items())}
print(json.dumps(sums, indent=1))
PYTHON
}

# `return` alone would give the status of before the trap.
# shellcheck disable=SC2317  # called by finish
upload() {
  local folder
  for folder in model output checkpoints; do put_folder "$ROOT/$folder" "$folder" || return 1; done
  put "$LOG" run.log && write_manifest && put "$STATE/manifest.json" manifest.sha256.json && put "$STATE/stopped" stopped
}

# What the job leaves is uploaded in any case, tried again as long as the grace is, but not where nothing could be written
# from the start. The exit code goes last: it means that the rest is there, or that it says what is missing.
# shellcheck disable=SC2317  # called by the trap
finish() {
  local code=$? watcher give_up_s=$((SECONDS + GRACE_S))
  [ "$give_up_s" -le "$((END_S - SPARE_S))" ] || give_up_s=$((END_S - SPARE_S))
  [ -e "$STATE/writable" ] || give_up_s=0
  trap - EXIT
  trap '' TERM
  for watcher in "${WATCHERS[@]-}"; do
    [ -z "$watcher" ] || kill -- "-$watcher" 2>/dev/null
  done
  touch "$STATE/stopped"
  say "job $JOB ends with exit code $code $(cat "$STATE/stopped")"
  exec >>"$LOG" 2>&1
  timeout 5 tail --pid="$TEE" -f /dev/null
  until upload; do
    if [ "$SECONDS" -ge "$give_up_s" ]; then
      code=96
      printf 'not all results could be uploaded in time\n' >>"$ROOT/output/failure"
      put "$ROOT/output/failure" output/failure
      break
    fi
    say "an upload failed and is tried again"
    sleep "$RETRY_S"
  done
  printf '%s %s %s %s\n' "$STARTED" "$(date -u +%FT%TZ)" "$USD_PER_HOUR" "${INSTANCE-unknown}" >"$STATE/attempt"
  printf '%s\n' "$code" >"$STATE/exit_code"
  put "$STATE/attempt" "attempts/$STARTED"
  put "$STATE/exit_code" exit_code
  shutdown -h now
}
trap finish EXIT
trap 'request_stop terminated; exit 0' TERM
