"""An accelerator of your own: how fast is it, and how does the best mapping change with it?

Name a file behind the script for a picture, if matplotlib is there.
"""

import sys
from dataclasses import replace

from fusemax import Arch, load_arch, map_cascade

KIB, MIB, GIB = 2**10, 2**20, 2**30
SHAPES = {"B": 1, "H": 12, "E": 64, "F": 64, "M": 1024, "P": 1024}  # BERT, 1K tokens

fusemax = load_arch("fusemax-cloud")
array2d, array1d = fusemax.units
dram, buffer = fusemax.memories


def smaller(rows: int, columns: int) -> Arch:
    """FuseMax with fewer elements; energies of accesses stay the same."""
    wide = replace(array2d, axes=(("rows", rows), ("columns", columns)))
    return replace(fusemax, units=(wide, replace(array1d, axes=(("lanes", columns),))))


machines = {
    "256 x 256": fusemax,
    "128 x 256": smaller(128, 256),
    "64 x 128": smaller(64, 128),
    "256 KiB buffer": replace(fusemax, memories=(dram, replace(buffer, size_bytes=256 * KIB))),
    "50 GiB/s DRAM": replace(fusemax, memories=(replace(dram, bandwidth_bytes_s=50 * GIB), buffer)),
}
found = {name: map_cascade("attention-1pass", machine, SHAPES, top=1).best[0] for name, machine in machines.items()}

print(f"{'machine':<14}{'latency':>12}{'energy':>11}{'DRAM':>11}{'2D array':>10}{'1D array':>10}  limited by")
for name, best in found.items():
    cost = best.estimate
    print(
        f"{name:<14}{cost.latency_s * 1e6:>9.1f} us{cost.energy_j * 1e3:>8.2f} mJ{cost.dram_bytes / MIB:>7.1f} MiB"
        f"{cost.utilization['array2d']:>10.1%}{cost.utilization['array1d']:>10.1%}  {cost.bound}"
    )

known: set[str] = set()
for name, best in found.items():  # the first mapping, then the lines that are different in the others
    lines = str(best.mapping).splitlines()[4:]
    print(f"\n{name}:", *(line for line in lines if line and line not in known), sep="\n  ")
    known = known or set(lines)

if len(sys.argv) > 1:  # python 09_new_accelerator.py picture.png
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(found), [float(best.estimate.latency_s) * 1e6 for best in found.values()])
    axes.invert_yaxis()
    axes.set(xlabel="latency, us", title="BERT, 1K tokens, the best mapping of each")
    figure.savefig(sys.argv[1], dpi=150)
