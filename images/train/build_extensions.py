"""Compile DeepSpeed's extensions for processors into the installed package: python build_extensions.py

DeepSpeed compiles an extension when it is first used, in every pod again. Its own switches for compiling ahead of time
(DS_BUILD_CPU_ADAM and others) target the processor of the build machine; these run on every x86-64 with AVX2, or arm64.
"""

# ruff: noqa: TID253 - run while the image is built
import compileall
import os
import platform
import py_compile
import tempfile
from pathlib import Path
from typing import Any

os.environ["DS_ACCELERATOR"] = "cpu"

import deepspeed
import torch
from deepspeed.git_version_info import installed_ops, torch_info, version
from deepspeed.ops.op_builder.cpu import CPUAdamBuilder, ShareMemCommBuilder
from setuptools import setup
from torch.utils.cpp_extension import BuildExtension

# Architecture of the code, and what the source calls it.
PORTABLE = {"x86_64": ("-march=x86-64-v3", "-D__AVX256__"), "aarch64": ("-march=armv8-a", "-D__NEON__")}
BUILDERS = (CPUAdamBuilder, ShareMemCommBuilder)
PACKAGE = Path(deepspeed.__file__).parent
INSTALLED = PACKAGE / "git_version_info_installed.py"


def main() -> None:
    """Compile the extensions, and tell DeepSpeed that they are there."""
    os.chdir(PACKAGE / "ops")  # sources are named relative to it
    extensions = [portable_extension(builder) for builder in BUILDERS]
    with tempfile.TemporaryDirectory() as scratch:
        places = ["--build-lib", str(PACKAGE.parent), "--build-temp", scratch]
        setup(
            name="deepspeed-extensions",
            ext_modules=extensions,
            cmdclass={"build_ext": BuildExtension},
            script_args=["--quiet", "build_ext", *places],
        )
    declare_installed()


def portable_extension(builder: Any) -> Any:
    """An extension as DeepSpeed describes it, for every processor of this architecture."""
    architecture, width = PORTABLE[platform.machine()]
    chosen = type(builder.__name__, (builder,), {"cpu_arch": lambda _: architecture, "simd_width": lambda _: width})
    extension = chosen().builder()
    extension.extra_link_args = ["-s"]  # no symbols for a debugger
    return extension


def declare_installed() -> None:
    """Rewrite what DeepSpeed's setup notes: which extensions are there, for which torch.

    DeepSpeed asks whether they were made for the accelerator in use; this is code for the processor, which it also runs
    beside a GPU (an optimizer that is offloaded), so the answer is yes for every accelerator.
    """
    there = installed_ops | {builder.NAME: True for builder in BUILDERS}
    made_for = torch_info | {"version": ".".join(torch.__version__.split(".")[:2])}
    INSTALLED.write_text(
        "from deepspeed.accelerator import get_accelerator\n\n"
        f"version = {version!r}\ngit_hash = 'unknown'\ngit_branch = 'unknown'\n"
        f"installed_ops = {there!r}\ntorch_info = {made_for!r}\n"
        "accelerator_name = get_accelerator()._name\n"
    )
    compileall.compile_file(
        INSTALLED, force=True, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )


if __name__ == "__main__":
    main()
