"""How many passes do two attention algorithms need, and which tensors live across them on chip?"""

from fusemax import analyze, load_cascade

for name in ("attention-3pass", "attention-1pass"):
    analysis = analyze(load_cascade(name))
    keys = analysis.groups["M"]
    print(f"{name}: {keys.passes.passes} over the keys")
    print(f"  lives across passes: {', '.join(keys.passes.live_tensors) or '-'}")
    print(f"  least on chip, in elements for one query: {keys.footprint.elements}")

# An analysis prints itself as the whole report; in a notebook it shows itself as tables.
print()
print(analyze(load_cascade("attention-3pass"), {"B": 1, "H": 1, "E": 64, "F": 64, "M": 1024, "P": 1024}))
