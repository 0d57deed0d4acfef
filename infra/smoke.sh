#!/usr/bin/env bash
# Tries jobs on a real account: a spot job on EC2 that is interrupted and resumed, a training of ten minutes on SageMaker,
# and a search of two trials. By default it only shows the requests and prices; `infra/smoke.sh --run` starts them.
#
# Set OUTPUT (s3://bucket/prefix), IMAGE (its address in ECR), ROLE (execution role's ARN) and DATASET (a small dataset).
# Price: at most 2.50 USD and some cents, each job being limited by --max_usd: 0.40 USD for each of at most four machines on
# EC2 (the first, the resumed one, and two more if AWS takes it back), 0.30 for the training, 0.60 for the search.
set -euo pipefail

: "${OUTPUT:?s3://bucket/prefix}" "${IMAGE:?address of the image in ECR}" "${ROLE:?ARN of the execution role}"
DATASET=${DATASET:-scenarios/dataset_v1}
STAMP=$(date -u +%m%d%H%M%S)
EC2=roadsense-smoke-ec2-$STAMP TRAINING=roadsense-smoke-sm-$STAMP SEARCH=roadsense-smoke-hpo-$STAMP
ASK=--dry_run
[ "${1:-}" != --run ] || ASK=--yes
common=(01_train --dataset "$DATASET" --output "$OUTPUT" --image "$IMAGE" -p n_workers 4 "$ASK")
small=(--target sagemaker --role "$ROLE" --instance_type ml.c5.2xlarge --max_hours 0.25)

[ "$ASK" = --dry_run ] || trap 'roadsense job list --all' EXIT # what still costs, however this ends
roadsense job submit "${common[@]}" --target ec2 --instance_type c6i.2xlarge --spot --name "$EC2" --max_hours 0.75 \
  --max_usd 0.40 -p total_timesteps 400000
roadsense job submit "${common[@]}" "${small[@]}" --name "$TRAINING" --max_usd 0.30 -p total_timesteps 100000
roadsense job submit "${common[@]}" "${small[@]}" --name "$SEARCH" --n_trials 2 --n_parallel 2 --max_usd 0.60 \
  -p total_timesteps 50000
[ "$ASK" = --yes ] || exit 0

# A stop is what the machine does on a spot notice: a checkpoint, its results uploaded, its end. Then another one resumes.
until roadsense job metrics "$EC2"; do
  case $(roadsense job status "$EC2") in
    *'"state": "waiting"'* | *'"state": "running"'*) sleep 20 ;;
    *) echo "$EC2 ended without a figure." >&2 && exit 1 ;;
  esac
done
roadsense job stop "$EC2" --wait
roadsense job resume "$EC2" --yes
roadsense job logs "$EC2" --follow --resumes 2
roadsense job logs "$TRAINING" --follow
roadsense job logs "$SEARCH" --follow
for name in "$EC2" "$TRAINING" "$SEARCH"; do roadsense job fetch "$name"; done
echo "All three parts ended as they should."
