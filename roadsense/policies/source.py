"""Finds a policy by what a user names, in one way for every command, notebook and function. Imports nothing heavy."""

import hashlib
import json
import pickle
import re
import zipfile
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Literal

from roadsense.envs.observation import KNOWN_VERSIONS, N_PEER_FIELDS_OF, OBSERVATION_VERSION
from roadsense.errors import InputError, RunError
from roadsense.policies.rules import BASELINES
from roadsense.utils.files import hash_file, read_json
from roadsense.utils.own_code import hash_own
from roadsense.utils.workspace import find_file, resolve

MODEL_NAME, MANIFEST_NAME, CONFIG_NAME = "model.zip", "manifest.json", "config.json"
KEPT_NAME = "model"
"""Folder of a job's results that holds its run, as SageMaker calls it."""
_WEIGHTS = "It holds weights without a network. Save the model by model.save('mine.zip'), and name that."
_OTHER = "A function of yours may open it: name that as module:name."
_OTHERS = {".pth": _WEIGHTS, ".pt": _WEIGHTS, ".py": "Name the function in it too, as my_module:my_policy."}
DEFAULT, DEFAULT_DIR = "default", Path("models/default")
UNKNOWN = "unknown"
SUFFIXES = (".zip", ".tflite")
FORMS = f"a run folder, a .zip or .tflite file, module:name, {DEFAULT!r}, or a rule ({', '.join(BASELINES)})"
_IN_FILE = re.compile(r"([\w./]+)\.py:([A-Za-z_][\w.]*)")
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class PolicySource:
    """Where a policy comes from.

    Attributes:
        kind: `file`, a `.zip` or `.tflite`; `rule`, a baseline's name; `code`, `module:name`; or `object`.
        text: the path, name or reference; for an object, its class.
        given: the object, else None.
    """

    kind: Literal["file", "rule", "code", "object"]
    text: str
    given: Any = None

    @property
    def path(self) -> Path | None:
        """The file, if it is one."""
        return Path(self.text) if self.kind == "file" else None

    @property
    def name(self) -> str:
        """A short name: of the run whose `model.zip` it is, of the file, rule, function or class."""
        path = self.path
        if path is None:
            return self.text.rpartition(":")[2] if self.kind == "code" else self.text
        return path.parent.resolve().name if path.name == MODEL_NAME else path.stem

    @property
    def run_dir(self) -> Path | None:
        """Folder of the run that the file belongs to, None if it belongs to none."""
        folder = self.path.parent if self.path is not None else None
        return folder if folder is not None and (folder / MANIFEST_NAME).is_file() else None

    def digest(self) -> str:
        """Returns the SHA-256 of the file, the source code, the rule's settings or the pickled object.

        Raises:
            InputError: if an object cannot be pickled, which worker processes need.
        """
        if self.path is not None:
            return hash_file(self.path)
        if self.kind == "code":
            return hash_own(self.text)
        if self.kind == "rule":
            rule = BASELINES[self.text]
            content = json.dumps([type(rule).__name__, asdict(rule) if is_dataclass(rule) else None]).encode()
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha256(pickle_policy(self.given)).hexdigest()


def pickle_policy(given: Any) -> bytes:
    """Returns a policy as bytes.

    Raises:
        InputError: if it cannot be pickled.
    """
    try:
        return pickle.dumps(given)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InputError(
            f"Expected a policy that can be pickled for worker processes, got {type(given).__name__} ({error}). "
            "Name it as module:name instead."
        ) from error


def find_policy(given: Any) -> PolicySource:
    """Returns where a policy comes from; nothing is loaded, and no code runs.

    Args:
        given: a folder of a run, the path of a `.zip` or `.tflite`, `module:name`, a rule's name, `default`, a
            `PolicySource`, or an object: a function of an observation, or one with `predict(observation)`.

    Raises:
        InputError: if there is no such file, or it is none of these.
        RunError: if a folder holds no policy, or one of another version of the observation.
    """
    if isinstance(given, PolicySource):
        return given
    if not isinstance(given, str | Path):
        if not (callable(given) or hasattr(given, "predict")):
            raise InputError(f"policy: expected {FORMS}, or an object with predict(observation), got {given!r}.")
        return PolicySource("object", type(given).__name__, given)
    text, path = str(given), resolve(given)
    name, reference = text.lower().replace("-", "_"), find_reference(text)
    if path.is_dir():
        return _find_in_folder(path)
    if name in BASELINES:
        return PolicySource("rule", name)
    if name == DEFAULT:
        return _find_in_folder(find_file(DEFAULT_DIR))
    zipped = _add_zip(path)
    if path.suffix.lower() in SUFFIXES or path.is_file() or zipped.is_file():
        return _find_file(zipped if zipped.is_file() and not path.is_file() else path)
    if reference:
        return PolicySource("code", reference)
    if len(path.parts) > 1 and not path.suffix:
        raise RunError(f"Expected the folder of a run, but {path} is not there. Check the path.")
    raise InputError(f"policy: expected {FORMS}, got {text!r}. Check the path.")


def find_reference(text: str) -> str:
    """Returns `module:name`, also where the module is named as a file, `./module.py:name`; empty for anything else."""
    if found := _IN_FILE.fullmatch(text):
        text = f"{found[1].removeprefix('./').replace('/', '.')}:{found[2]}"
    return text if _REFERENCE.fullmatch(text) else ""


def _add_zip(path: Path) -> Path:
    """Returns a path with the suffix that Stable-Baselines3 adds by itself."""
    return path.with_name(f"{path.name}.zip") if path.name else path


def refuse_other_forms(text: str) -> None:
    """Checks that a text may name a policy, without looking for it.

    Raises:
        InputError: if it is a file of another kind.
    """
    path = resolve(text)
    is_there = path.exists() or _add_zip(path).exists()
    if Path(text).suffix.lower() not in ("", *SUFFIXES) and not find_reference(text) and not is_there:
        raise InputError(f"policy: expected {FORMS}, got {text!r}.")


def _find_in_folder(folder: Path) -> PolicySource:
    for path in (folder / MODEL_NAME, folder / KEPT_NAME / MODEL_NAME):
        if path.is_file():
            return _find_file(path)
    raise RunError(f"Expected a run with {MODEL_NAME} in {folder}, found none. {advise(folder)}")


def advise(folder: Path) -> str:
    """Returns what to do about a folder that holds no trained policy."""
    if (folder / CONFIG_NAME).is_file():
        return f"Its training has not ended: `roadsense train --resume {folder}` goes on with it."
    if (folder / "policy.pth").is_file() and (folder / "data").is_file():
        return f"It is a zip of Stable-Baselines3 unpacked. Pack it: `cd {folder} && zip -r ../{folder.name}.zip .`."
    if policies := sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES):
        return f"Name one of its files, as {policies[0]}."
    return "Train one with `roadsense train`."


def _find_file(path: Path) -> PolicySource:
    if not path.is_file():
        raise InputError(f"policy: expected a file, but {path} is not there. Check the path.")
    if path.suffix.lower() not in SUFFIXES and not _is_saved_model(path):
        raise InputError(f"policy: expected {FORMS}, got the file {path}. {_OTHERS.get(path.suffix, _OTHER)}")
    found = PolicySource("file", str(path))
    if found.run_dir is not None and path.suffix.lower() == ".zip":
        refuse_other_version(found.run_dir)
    return found


def _is_saved_model(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"data", "policy.pth"} <= set(archive.namelist())


def refuse_other_version(run_dir: Path) -> None:
    """Checks the version of the observation that a run's manifest states, also if the shapes are the same.

    A folder without a manifest states none; then only the spaces of its policy tell, see `load_policy`.

    Raises:
        RunError: if it is none with which a policy still drives.
    """
    path = run_dir / MANIFEST_NAME
    stated = read_json(path, "the manifest of a run", RunError) if path.is_file() else {}
    # Runs of the first version did not note it.
    version = stated.get("observation_version", 1) if stated else OBSERVATION_VERSION
    if version not in tuple(N_PEER_FIELDS_OF):
        raise RunError(
            f"{run_dir}: expected a policy of observation version {KNOWN_VERSIONS}, got {version}. Train it "
            "again, or use it with the roadsense that trained it."
        )
