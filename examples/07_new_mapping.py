"""A mapping of your own: fuse the 3-pass cascade with its division deferred, and compare it with others."""

from fusemax import compare, parse_mapping

# The softmax is divided once for each element of AV instead of once for each of A, so that the 1D array has one pass fewer.
TEXT = """\
mapping deferred
cascade attention-3pass-deferred
arch    flat-cloud

split m: m1, m0 = array2d.rows
split p: p2, p1 = fit buffer, p0 = array2d.columns

pipeline b, h, p2:
  hold Q, QK, SN, SD in buffer
  for p1, m1: on array2d (rows: m0, columns: p0): QK over e
  for p1, p0:
    hold GM in buffer
    for m1: on array1d (lanes: m0): GM
    for m1: on array1d (lanes: m0): SN chained; SD
  for p1:
    on array2d (rows: f, columns: p0): SNV over m1, m0
    on array1d (lanes: p0): AV over f
"""

deferred = parse_mapping(TEXT, "deferred.mapping")
comparison = compare(["flat", deferred, "fusemax-binding"], ["bert", "xlm"], [1024, 16384], baseline="flat")
print(comparison)
