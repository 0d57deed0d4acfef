"""All access to SUMO: the connection, its two backends (libsumo in this process, traci over a socket), and road data.

Not here: what the environment does with it (`roadsense.envs`), and scenario files (`roadsense.scenarios`).
"""
