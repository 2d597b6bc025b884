"""Why is FuseMax fast? Its three steps run tile by tile: the cascade, the architecture, the binding.

Name a file behind the script for a picture of the first cycles, if matplotlib is there.
"""

import sys

from fusemax import load_arch, load_cascade, load_mapping, simulate

DESIGNS = ("fusemax-cascade", "fusemax-architecture", "fusemax-binding")
SHAPES = {"B": 1, "H": 12, "E": 64, "F": 64, "M": 1024, "P": 1024}  # BERT, 1K tokens

traces = []
for name in DESIGNS:
    mapping = load_mapping(name)
    traces.append(
        simulate(load_cascade(mapping.cascade), load_arch(mapping.arch), mapping, SHAPES, window=(4000, 7000))
    )

for trace in traces:
    print(
        f"{trace.mapping}: {trace.latency_s * 1e6:.1f} us, {trace.makespan / trace.closed_form:.3f} times the closed form's"
    )
    for server in trace.servers:
        share = trace.utilization[server.name]
        why, cycles = max(server.stalls.items(), key=lambda stall: stall[1], default=("nothing", 0.0))
        print(f"  {server.name:<8} at work {share:>6.1%}, waits {cycles / trace.makespan:>6.1%} for {why}")

if len(sys.argv) > 1:  # python 08_three_designs.py picture.png
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 7.6), layout="constrained")
    for axes, trace in zip(figure.subplots(len(traces)), traces, strict=True):
        trace.plot(ax=axes)
    figure.savefig(sys.argv[1], dpi=160)
