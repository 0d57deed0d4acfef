#!/usr/bin/env bash
# Tries jobs on a real account: a spot job on EC2 that is interrupted and resumed, a training of ten minutes on SageMaker,
# and a search of two trials. By default it only shows the requests and prices; `infra/smoke.sh --run` starts them.
#
# Set OUTPUT (s3://bucket/prefix), IMAGE (its address in ECR), ROLE (execution role's ARN) and DATASET (a small dataset).
# Price: at most 3 USD in eu-central-1, each part being limited by --max_usd: 1.00 + 0.80 + 1.00 USD, and some cents.
set -euo pipefail

: "${OUTPUT:?s3://bucket/prefix}" "${IMAGE:?address of the image in ECR}" "${ROLE:?ARN of the execution role}"
DATASET=${DATASET:-scenarios/dataset_v1}
STAMP=$(date -u +%m%d%H%M%S)
ASK=--dry_run
[ "${1:-}" != --run ] || ASK=--yes
common=(01_train --dataset "$DATASET" --output "$OUTPUT" --image "$IMAGE" -p n_workers 4 "$ASK")
small=(--target sagemaker --role "$ROLE" --instance_type ml.c5.2xlarge)

roadsense job submit "${common[@]}" --target ec2 --instance_type c6i.2xlarge --spot --name "roadsense-smoke-ec2-$STAMP" \
  --max_hours 0.75 --max_usd 1 -p total_timesteps 400000
roadsense job submit "${common[@]}" "${small[@]}" --name "roadsense-smoke-sm-$STAMP" --max_hours 0.25 --max_usd 0.80 \
  -p total_timesteps 100000
roadsense job submit "${common[@]}" "${small[@]}" --name "roadsense-smoke-hpo-$STAMP" --n_trials 2 --n_parallel 2 \
  --max_hours 0.25 --max_usd 1 -p total_timesteps 50000
[ "$ASK" = --yes ] || exit 0

# A stop is what the machine does on a spot notice: a checkpoint, its results uploaded, its end. Then another one resumes.
until roadsense job logs "roadsense-smoke-ec2-$STAMP" | grep -q 'roadsense_metric timesteps='; do sleep 20; done
roadsense job stop "roadsense-smoke-ec2-$STAMP" --wait
roadsense job resume "roadsense-smoke-ec2-$STAMP" --yes
roadsense job logs "roadsense-smoke-ec2-$STAMP" --follow --resumes 2
roadsense job logs "roadsense-smoke-sm-$STAMP" --follow
roadsense job logs "roadsense-smoke-hpo-$STAMP" --follow
for name in ec2 sm hpo; do roadsense job fetch "roadsense-smoke-$name-$STAMP"; done
roadsense job list --all
echo "All three parts ended as they should."
