"""The policies that an evaluation is about: the judged one and others beside it, of any kind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.episodes.plan import POLICY
from roadsense.episodes.run import Worker
from roadsense.errors import InputError, RunError
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.policies import POLICIES
from roadsense.policies.source import UNKNOWN, PolicySource, find_policy
from roadsense.policies.trained import load_policy
from roadsense.runs.run import Run, choose_folder, open_run
from roadsense.utils.workspace import resolve


@dataclass(frozen=True)
class Candidates:
    """The policies that were trained, exported or written by the user.

    Attributes:
        policy: the judged policy.
        beside: the other policies, by name.
        folder: folder into which the evaluation is written.
    """

    policy: PolicySource
    beside: dict[str, PolicySource]
    folder: Path

    @property
    def names(self) -> tuple[str, ...]:
        """All policies of the evaluation: the judged one, null policies and baselines, the bound, the others."""
        return (*POLICIES, *self.beside)

    @property
    def sources(self) -> dict[str, PolicySource]:
        """All of these policies by name; the judged one first."""
        return {POLICY: self.policy, **self.beside}

    def hashes(self) -> dict[str, str]:
        """Returns the digest of each, by the policy's name."""
        return {name: source.digest() for name, source in self.sources.items()}

    def describe_trainings(self) -> dict[str, dict[str, Any]]:
        """Returns run, data and seed of each policy's training, by the policy's name; `unknown` without a run."""
        return {name: _describe_training(source) for name, source in self.sources.items()}

    def make_worker(self, config: EvalConfig) -> Worker:
        """Returns the worker that runs them; policies are loaded here once, so worker processes need no torch."""
        others = {name: load_policy(source, config.trust) for name, source in self.beside.items()}
        return Worker(config.env_config(), load_policy(self.policy, config.trust), others)


def find_candidates(config: EvalConfig, policy: Any = None) -> Candidates:
    """Returns the policies an evaluation is about.

    Args:
        config: settings of the evaluation.
        policy: object that is judged instead of what the settings name.

    Raises:
        RunError: if a run does not exist, holds no policy, or its policy has another observation version.
        InputError: if another policy does not exist, or two have the same name.
    """
    beside: dict[str, PolicySource] = {}
    for text in config.beside:
        given, _, place = text.rpartition("=")
        source = find_policy(place)
        name = given or source.name
        if name in beside or name in POLICIES:
            raise InputError(f"beside: expected names that differ, got {name!r} twice. Rename {text}.")
        beside[name] = source
    judged = find_judged(policy, config.policy or config.run_dir)
    folder = resolve(config.run_dir) if config.run_dir else None
    if folder is None or not folder.is_dir():
        if folder is not None and config.policy is not None:
            raise RunError(f"Expected the folder of a run, but {config.run_dir} is not there. Check the path.")
        folder = choose_folder(judged)
    return Candidates(judged, beside, folder)


def find_judged(policy: Any, named: str | Path) -> PolicySource:
    """Returns where the judged policy comes from: an object, else what is named, else the newest trained run."""
    if policy is not None:
        # An object is wrapped, so that worker processes can be sent it.
        return find_policy(policy if isinstance(policy, str | Path | PolicySource) else load_policy(policy))
    return find_policy(named or open_run().folder)


def _describe_training(source: PolicySource) -> dict[str, Any]:
    run = Run(source.run_dir) if source.run_dir else None
    manifest = run.read_manifest() if run else {}
    config = run.read_config() if run and run.config_path.is_file() else {}
    return {
        "policy": source.text,
        "run": str(run.folder) if run else UNKNOWN,
        "algorithm": config.get("algorithm", UNKNOWN),
        "seed": config.get("seed", UNKNOWN),
        "dataset_digest": manifest.get("dataset_digest") or UNKNOWN,
        "train_digest": manifest.get("train_digest") or UNKNOWN,
    }
