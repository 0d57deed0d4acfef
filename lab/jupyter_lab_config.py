"""Settings of the JupyterLab of `make lab`: on this machine only, with the programs of its own environment."""

import os
import sys
from pathlib import Path

from traitlets.config import get_config

LAB = Path(__file__).resolve().parent

os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # `roadsense` in its terminals

c = get_config()
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.root_dir = str(LAB.parent)
c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash"]}  # no login shell, which would set PATH anew
c.LabApp.app_settings_dir = str(LAB)
c.LabApp.default_url = "/lab/tree/notebooks/README.md"
