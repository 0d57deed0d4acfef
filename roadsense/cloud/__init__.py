"""Folders and files in S3, and sessions with AWS. Jobs are in `roadsense.jobs`."""
