"""Jobs on AWS: what EC2 and SageMaker have in common."""
