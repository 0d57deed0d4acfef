"""A channel's messages as arrays, and arrays as states: for tests that count."""

import numpy as np

from roadsense.envs.observation import N_VALUES, observe, split_observation

NEVER = -(10**6)


def exchange(channel, step, states, ego_xy_m=(0.0, 0.0)):
    """Sends the rows of an array; a row with NaN is a car that is gone."""
    rows = np.asarray(states, float).tolist()
    channel.exchange(step, [None if row[0] != row[0] else tuple(row) for row in rows], tuple(map(float, ego_xy_m)))


def heard(channel):
    """(n_peers, 5) newest heard states; 0 where nothing was heard."""
    return np.array([message[1:] if message else (0.0,) * 5 for message in channel.messages]).reshape(-1, 5)


def heard_step(channel):
    """(n_peers,) steps at which they were sent; `NEVER` where nothing was heard."""
    return np.array([message[0] if message else NEVER for message in channel.messages], int)


def observed(ego, pedals_mps2, channel, step):
    """The observation of an ego that hears this channel."""
    row = np.full(N_VALUES, np.nan, np.float32)
    observe(row, ego, pedals_mps2, [channel], step)
    return split_observation(row)
