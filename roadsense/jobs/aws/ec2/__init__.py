"""Jobs on EC2: each job has its own machine, which ends itself."""
