"""A cascade of your own, and the report of its mistakes: all of them at once, each with its place."""

from fusemax import FusemaxError, check, parse

TEXT = """\
input A[K, M], B[K, N]
output Z[M, N]

GM[m]    = A[k, m] :: reduce[k] maximum
Z[m, n]  = A[k, m] * B[k, n
"""

for text in (TEXT, TEXT.replace("maximum", "max").replace("[k, n\n", "[k, n] * C[k] + GM[n]\n")):
    try:
        check(parse(text, "mine.cascade"))
    except FusemaxError as error:
        print(error)
        print("-" * 60)

fixed = parse(TEXT.replace("maximum", "max").replace("[k, n\n", "[k, n] * GM[m]\n"), "mine.cascade")
print(fixed)
print(*check(fixed).notes or ["no notes"], sep="\n")
