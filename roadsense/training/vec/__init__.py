"""Worker processes of a training, each with an environment and the policy."""
