"""The folder for what is made of a policy: its run's, or one of its own for a policy without a run."""

from pathlib import Path

from roadsense.policies.source import PolicySource
from roadsense.utils.workspace import resolve

POLICIES_DIR = "runs/policies"


def choose_folder(source: PolicySource) -> Path:
    """Returns the folder of the run that a policy belongs to, else one by its name and digest, which is made.

    Args:
        source: where the policy comes from, see `roadsense.policies.source.find_policy`.
    """
    if source.run_dir is not None:
        return source.run_dir
    folder = resolve(POLICIES_DIR) / f"{source.name}-{source.digest()[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
