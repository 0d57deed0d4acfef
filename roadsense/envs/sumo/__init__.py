"""SUMO behind one door: in this process, or over a socket."""
