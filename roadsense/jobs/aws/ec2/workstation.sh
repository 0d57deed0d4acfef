PACKAGES=(tmux)
WORK=/srv/roadsense
BOOT=/var/lib/cloud/scripts/per-boot/roadsense

# A machine that was stopped and is started again does all of this again: above all, it gets its limit again.
if [ ! "$0" -ef "$BOOT" ]; then
  mkdir -p "${BOOT%/*}"
  install -m 700 "$0" "$BOOT"
fi

# The project as run_docker.sh knows it, with the image's notebooks and scenarios; runs are kept in step with S3.
lay_out() {
  local id
  mkdir -p "$WORK/docker"
  [ -e "$WORK/runs" ] || ln -s "$ROOT/checkpoints" "$WORK/runs"
  if [ ! -e "$WORK/docker/run_docker.sh" ]; then
    aws s3 cp --only-show-errors "$PLACE/run_docker.sh" "$WORK/docker/run_docker.sh" &&
      chmod +x "$WORK/docker/run_docker.sh" && id=$(docker create "$IMAGE") &&
      docker cp -q "$id:/opt/roadsense/notebooks" "$WORK" &&
      docker cp -q "$id:/opt/roadsense/scenarios" "$WORK" && docker rm "$id" >/dev/null || return
  fi
  [ -z "$DATASET" ] || [ -e "$WORK/scenarios/dataset" ] || cp -r "$ROOT/input/data/dataset" "$WORK/scenarios/dataset"
}

# The command runs once, in a terminal that stays when it has ended: sudo tmux attach -t roadsense
open_terminal() {
  local line="exec bash"
  if [ -n "$COMMAND" ] && [ ! -e "$WORK/.begun" ]; then
    touch "$WORK/.begun"
    say "in tmux: docker/run_docker.sh $COMMAND"
    line="docker/run_docker.sh $COMMAND 2>&1 | tee -a $LOG; exec bash"
  fi
  export ROADSENSE_IMAGE=$IMAGE ROADSENSE_ENGINE=docker
  tmux new-session -d -s roadsense -c "$WORK" "$line"
}

is_busy() {
  [ -z "$(docker ps -q)" ] || return 0
  ! grep -qs '[s]sm-session-worker' /proc/[0-9]*/cmdline || return 0
  awk -v limit="$BUSY_LOAD" '{ exit !($1 > limit) }' /proc/loadavg
}

prepare
lay_out || fail 95 "the workstation could not be laid out"
start_watching
open_terminal || fail 95 "tmux could not be started"
say "ready: aws ssm start-session --target $INSTANCE, then sudo tmux attach -t roadsense"

idle_s=0
while [ ! -s "$STATE/stopped" ]; do
  sleep "$IDLE_EVERY_S"
  if is_busy; then idle_s=0; else idle_s=$((idle_s + IDLE_EVERY_S)); fi
  if [ "$IDLE_S" -gt 0 ] && [ "$idle_s" -ge "$IDLE_S" ]; then
    echo "idle for $IDLE_S s" >"$STATE/stopped"
  fi
done
exit 0
