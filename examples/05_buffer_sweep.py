"""How long may a sequence be before its live footprint exceeds the buffer, and how much traffic does it cost then?"""

from fusemax import analyze, check, load_cascade

MIB = 2**20
NAMES = ("attention-3pass", "attention-2pass-deferred", "attention-1pass")
cascades = {name: check(load_cascade(name)) for name in NAMES}

print(
    "extra DRAM traffic in GiB of tensors that live across passes over the keys: 16 MiB buffer, 256 queries at a time"
)
print(f"{'keys':>9}" + "".join(f"{name:>27}" for name in cascades))
for exponent in range(10, 22, 2):
    length = 2**exponent
    shapes = {"B": 64, "H": 12, "E": 64, "F": 64, "M": length, "P": length}
    cells = []
    for checked in cascades.values():
        analysis = analyze(checked, shapes, tiles={"P": 256}, buffer_bytes=16 * MIB)
        spill = analysis.groups["M"].spill
        assert spill is not None
        cells.append("fits" if spill.fits else f"{spill.extra_dram_bytes / 2**30:,.2f}")
    print(f"{length:>9}" + "".join(f"{cell:>27}" for cell in cells))
