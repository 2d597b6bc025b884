"""How much on-chip buffer does attention need? Sweep its size: an architecture is data, and `replace` changes it.

Name a file behind the script for a picture, if matplotlib is there.
"""

import sys
from dataclasses import replace

from fusemax import Arch, FusemaxError, evaluate, load_arch, load_cascade, load_mapping

KIB = 2**10
SHAPES = {"B": 64, "H": 12, "E": 64, "F": 64, "M": 256 * KIB, "P": 256 * KIB}  # BERT, 256K tokens


def with_buffer(arch: Arch, size_bytes: int) -> Arch:
    """The same machine with another buffer. Its energy per access stays the same, so only time and traffic have a meaning."""
    dram, buffer = arch.memories
    return replace(arch, memories=(dram, replace(buffer, size_bytes=size_bytes)))


mapping = load_mapping("fusemax-binding")
cascade, arch = load_cascade(mapping.cascade), load_arch(mapping.arch)

sizes = [128 * KIB * 4**n for n in range(6)]
found = []
print(f"{'buffer':>10}{'latency':>12}{'DRAM':>12}{'array2d':>10}  limited by")
for size in sizes:
    try:
        estimate = evaluate(cascade, with_buffer(arch, size), mapping, SHAPES)
    except FusemaxError as error:
        print(f"{size // KIB:>6} KiB  {error.problems[0].message}")
        continue
    found.append((size, estimate))
    print(
        f"{size // KIB:>6} KiB{estimate.latency_s:>10.2f} s{estimate.dram_bytes / 2**40:>8.2f} TiB"
        f"{estimate.utilization['array2d']:>10.1%}  {estimate.bound}"
    )

if len(sys.argv) > 1:  # python 06_buffer_size.py picture.png
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    axes.loglog([size / 2**20 for size, _ in found], [estimate.dram_bytes / 2**40 for _, estimate in found], "o-")
    axes.set(xlabel="buffer, MiB", ylabel="DRAM traffic, TiB", title="BERT, 256K tokens")
    figure.savefig(sys.argv[1], dpi=150)
