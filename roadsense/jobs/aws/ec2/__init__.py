"""Jobs on EC2: a machine for each job, which ends itself."""
