"""The policies of an evaluation that come from files: the judged policy and others beside it."""

from dataclasses import dataclass
from pathlib import Path

from roadsense.episodes.plan import POLICY
from roadsense.episodes.run import Worker
from roadsense.errors import InputError, RunError
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.policies import POLICIES
from roadsense.policies.trained import TFLITE_SUFFIX, load_policy
from roadsense.runs.run import open_run, refuse_other_observation
from roadsense.utils.files import hash_file


@dataclass(frozen=True)
class Candidates:
    """The files of the policies that were trained or exported.

    Attributes:
        policy: file of the judged policy.
        beside: files of the other policies, by name.
    """

    policy: Path
    beside: dict[str, Path]

    @property
    def names(self) -> tuple[str, ...]:
        """All policies of the evaluation: the judged one, null policies and baselines, the bound, the others."""
        return (*POLICIES, *self.beside)

    def hashes(self) -> dict[str, str]:
        """Returns the SHA-256 of each file, by the policy's name."""
        return {name: hash_file(path) for name, path in {POLICY: self.policy, **self.beside}.items()}

    def make_worker(self, config: EvalConfig) -> Worker:
        """Returns the worker that runs them; policies are loaded here once, so worker processes need no torch."""
        others = {name: load_policy(path, config.trust) for name, path in self.beside.items()}
        return Worker(config.env_config(), load_policy(self.policy, config.trust), others)


def find_candidates(config: EvalConfig) -> Candidates:
    """Returns the policies an evaluation is about.

    Raises:
        RunError: if a run does not exist, holds no policy, or its policy has another observation version.
        InputError: if a `.tflite` does not exist, or two policies have the same name.
    """
    beside: dict[str, Path] = {}
    for text in config.beside:
        given, _, place = text.rpartition("=")
        path = Path(place)
        is_file = path.suffix == TFLITE_SUFFIX
        name = given or (path.stem if is_file else path.name)
        if name in beside or name in POLICIES:
            raise InputError(f"beside: expected names that differ, got {name!r} twice. Rename {text}.")
        beside[name] = _existing(path) if is_file else _model_of(path)
    return Candidates(_find_policy(config), beside)


def _find_policy(config: EvalConfig) -> Path:
    if config.policy is None:
        return _model_of(config.run_dir)
    if not Path(config.run_dir).is_dir():
        raise RunError(f"Expected the folder of a run, but {config.run_dir} is not there. Check the path.")
    return _existing(Path(config.policy))


def _model_of(run_dir: str | Path) -> Path:
    run = open_run(run_dir)
    refuse_other_observation(run)
    return run.model_path


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"policy: expected a file, but {path} is not there. Check the path.")
    return path
