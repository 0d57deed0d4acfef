PACKAGES=()
prepare
start_watching
[ ! -s "$STATE/stopped" ] || exit 0
say "running $NOTEBOOK in $IMAGE"
docker run --name "$CONTAINER" --user 1000:1000 --shm-size "$SHARED_MEMORY" --stop-timeout "$STOP_S" \
  --cap-drop=ALL --security-opt=no-new-privileges --pids-limit=4096 \
  --memory="$(awk '/^MemTotal:/ { printf "%d", 0.9 * $2 }' /proc/meminfo)k" \
  -e TRAINING_JOB_NAME="$JOB" -e ROADSENSE_NOTEBOOK="$NOTEBOOK" -e ROADSENSE_JOB_TARGET=ec2 \
  -e AWS_DEFAULT_REGION="$REGION" -v "$ROOT:/opt/ml" "$IMAGE" train &
wait $!
code=$?
if [ "$code" -eq 143 ] && [ -s "$STATE/stopped" ]; then
  say "stopped before there was anything to keep"
  exit 0
fi
if [ "$code" -ne 0 ] && [ ! -s "$ROOT/output/failure" ]; then
  killed=$(docker inspect -f '{{.State.OOMKilled}}' "$CONTAINER")
  [ "$killed" != true ] || fail "$code" "the machine's memory was not enough, the container was killed"
  fail "$code" "the container ended with exit code $code and gave no reason"
fi
exit "$code"
