"""Jobs on SageMaker: training jobs and searches."""
