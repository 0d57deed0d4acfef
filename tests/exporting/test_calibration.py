"""A calibration set has to hold hazards, whole observations, and enough of them."""

import numpy as np
import pytest

from roadsense.envs.observation import PEER_FIELDS, PEER_SCALE
from roadsense.episodes.trajectory import load_trajectory
from roadsense.errors import InputError
from roadsense.exporting.observations import CalibrationError, check_calibration, read_calibration, refuse_idle
from tests.exporting.models import draw

BRAKING = PEER_FIELDS.index("acceleration_mps2")


def with_hazards(share, n=400):
    """Observations with a car ahead; in a share of them it is heard to brake with 6 m/s2, just now."""
    observations = draw(n)
    observations["peers"][:], observations["peer_mask"][:] = 0, 0
    observations["peers"][:, 0, 0] = 0.3
    observations["peer_mask"][:, 0] = 1
    observations["peers"][: round(share * n), 0, BRAKING] = -6.0 / PEER_SCALE[BRAKING]
    return observations


def test_the_share_of_hazards_is_counted():
    assert check_calibration(with_hazards(0.25), "here") == 0.25


@pytest.mark.parametrize(("share", "n", "words"), [(0.04, 400, r"got 4\.0% \(here\)"), (0.5, 99, "got 99")])
def test_too_few_hazards_or_observations_are_refused(share, n, words):
    with pytest.raises(CalibrationError, match=words):
        check_calibration(with_hazards(share, n), "here")


def test_a_policy_that_never_brakes_is_refused():
    refuse_idle(np.array([[0.0], [0.01]], np.float32))
    with pytest.raises(CalibrationError, match=r"got at most 0\.0039 of full braking.*--no-int8"):
        refuse_idle(np.array([[0.0], [0.0039]], np.float32))


def test_observations_are_read_back(tmp_path):
    observations = with_hazards(0.5)
    np.savez(tmp_path / "good.npz", **observations, action=np.zeros(3))
    read = read_calibration(tmp_path / "good.npz")
    for name, values in observations.items():
        np.testing.assert_array_equal(read[name], values)


def _put(place, value):
    def change(arrays):
        arrays["peers"][place] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.pop("ego"), "ego"),
        (_put(0, np.nan), "peers within the bounds"),
        (_put(0, 6.0), "peers within the bounds"),
        (lambda arrays: arrays.update(peers=arrays["peers"][:, :, :3]), "expected peers of shape"),
        (lambda arrays: arrays.update(peer_mask=arrays["peer_mask"][:5]), "expected peer_mask of shape"),
        (lambda arrays: arrays.update(ego=arrays["ego"].astype(int)), "floats"),
        (lambda arrays: arrays.update(ego=np.array([None] * 5)), "expected an .npz"),
        (lambda arrays: arrays.update(ego=np.float32(1)), "expected ego of shape"),
    ],
)
def test_what_is_no_observation_is_refused_by_name(tmp_path, change, words):
    arrays = {name: values.copy() for name, values in with_hazards(0.5).items()}
    change(arrays)
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(CalibrationError, match=words):
        read_calibration(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("read", "error"), [(read_calibration, CalibrationError), (load_trajectory, InputError)], ids=["set", "episode"]
)
def test_damaged_compressed_arrays_are_refused(read, error, tmp_path):
    np.savez_compressed(tmp_path / "bad.npz", ego=np.arange(4000) % 97, words=np.arange(4000) % 89)
    content = bytearray((tmp_path / "bad.npz").read_bytes())
    content[100:-400] = bytes(len(content) - 500)
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(error, match=r"bad\.npz: expected an? .*, but the file is damaged"):
        read(tmp_path / "bad.npz")


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK no zip")
    for name in ("bad.npz", "none.npz"):
        with pytest.raises(CalibrationError, match="xpected an"):
            read_calibration(tmp_path / name)
