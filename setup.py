"""Compiles the modules named in `roadsense.utils.compiled` with mypyc; without a C compiler they stay Python."""

import json
import os
import runpy
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, CompileError, ExecError, PlatformError

ROOT = Path(__file__).parent
compiled = runpy.run_path(str(ROOT / "roadsense" / "utils" / "compiled.py"))


def find_extensions() -> list[Extension]:
    """Returns all as extensions; none if mypyc is missing, `ROADSENSE_PURE` is set or nothing is built."""
    if os.environ.get(compiled["PURE_VARIABLE"], "0") not in ("", "0") or {"egg_info", "dist_info"} & set(sys.argv):
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        return []
    sources = [str(compiled["source_of"](module).relative_to(ROOT)) for module in compiled["MODULES"]]
    extensions = mypycify(
        ["--ignore-missing-imports", "--follow-imports=silent", *sources],
        group_name="roadsense.compiled",
        opt_level="3",
    )
    reader = compiled["READER"].relative_to(ROOT)
    name = ".".join(reader.with_suffix("").parts)
    extensions.append(Extension(name, [str(reader)], extra_compile_args=["-O3"], language="c++", optional=True))
    for extension in extensions:
        # The same results as Python's: each product and sum is rounded, and a square comes from `pow`.
        extension.extra_compile_args += ["-ffp-contract=off", "-fno-builtin-pow", "-fno-semantic-interposition"]
    return extensions


class BuildCompiled(build_ext):
    """Builds all extensions or none, and records which sources they were built from."""

    def run(self) -> None:
        """Builds; a compiler that is missing or fails is reported and leaves plain Python."""
        folder = ROOT if self.inplace or getattr(self, "editable_mode", False) else Path(self.build_lib)
        record = folder / "roadsense" / compiled["RECORD"].name
        record.unlink(missing_ok=True)
        try:
            super().run()
        except (CCompilerError, CompileError, ExecError, PlatformError) as error:
            self.warn(f"RoadSense runs as plain Python, which is slower: nothing could be compiled ({error}).")
            self.extensions = []
            return
        record.write_text(json.dumps(compiled["hash_sources"](), indent=2))


setup(ext_modules=find_extensions(), cmdclass={"build_ext": BuildCompiled})
