"""Kernels on CPUs that are not here: LLVM makes AArch64 code of them, in a process of its own, which it may abort."""

import subprocess
import sys

import pytest

COMPILE = """
import re, sys
import llvmlite.binding as llvm
import numba
from numba.core import codegen

from ffcv_hydra.kernels.images.changes import blur, change_hue, map_bilinear
from ffcv_hydra.kernels.jpeg.decoder import decode_box
from ffcv_hydra.kernels.memory.checksum import first_mismatch

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
machine = llvm.Target.from_triple("aarch64-unknown-linux-gnu").create_target_machine()
add_here = codegen.CPUCodeLibrary.add_llvm_module
names = []

def add_for_both(self, module):
    text = re.sub('target triple = ".*"', f'target triple = "{machine.triple}"', str(module))
    text = re.sub('target datalayout = ".*"', f'target datalayout = "{machine.target_data}"', text)
    assert "llvm.x86" not in text and " asm " not in text, self.name
    machine.emit_object(llvm.parse_assembly(text))
    names.append(self.name)
    add_here(self, module)

codegen.CPUCodeLibrary.add_llvm_module = add_for_both
for kernel in (decode_box, first_mismatch, blur, change_hue, map_bilinear):
    numba.njit(kernel._signature)(kernel.python)
print(*names)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_decoder_the_checksum_filters_and_hue_have_code_for_aarch64():
    """Between them they have most of what is written in LLVM's own code: vectors, swapped bytes, prefetching."""
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("inverse_transform", "convert_row", "decode_box", "first_mismatch"):
        assert name in done.stdout
    for name in ("gaussian_blur", "adjust_hue", "blended_row"):
        assert name in done.stdout
