"""Jobs on this machine: as a process, or in the image."""
