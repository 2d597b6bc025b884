"""Every shipped attention cascade: its passes over the keys, its live footprint, and whether it computes attention."""

import numpy as np

from fusemax import analyze, catalog, check, execute, load_cascade

TILES = {"M0": 16, "W": 16}  # a chunk of keys, and a window

generator = np.random.default_rng(0)
arrays = {name: generator.standard_normal((1, 4, 16, 64)) for name in ("Q", "K", "V")}
expected = execute(load_cascade("attention"), arrays)["AV"]

print(f"{'cascade':26}{'passes':>7}  {'lives across':14}{'least on chip, a query':26}difference to attention")
for name in catalog().cascades:
    if not name.startswith("attention"):
        continue
    checked = check(load_cascade(name))
    keys = analyze(checked).groups["P" if name == "attention-mla" else "M"]
    row = f"{name:26}{keys.passes.passes:>7}  {', '.join(keys.passes.live_tensors) or '-':14}{keys.footprint.elements!s:26}"
    if [(tensor.name, tensor.ranks) for tensor in checked.inputs] == [
        ("Q", ("B", "H", "E", "P")),
        ("K", ("B", "H", "E", "M")),
        ("V", ("B", "H", "F", "M")),
    ]:
        defaults = {default.rank for default in checked.cascade.shapes}
        computed = execute(checked, arrays, {rank: TILES[rank] for rank in TILES if rank in defaults})["AV"]
        difference = float(np.abs(computed - expected).max())
        row += "none" if difference < 1e-12 else f"{difference:.3f}: another function"
    else:
        row += "other inputs"
    print(row)
