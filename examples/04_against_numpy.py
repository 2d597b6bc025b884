"""Run a cascade on your own arrays, and compare it with NumPy."""

import numpy as np

from fusemax import execute, load_cascade

generator = np.random.default_rng(1)
q, k, v = (generator.standard_normal((2, 3, 8, 32)) for _ in range(3))

# FlashAttention-2 as a cascade: chunks of 8 keys, a running maximum, sum and output.
tensors = execute(load_cascade("attention-1pass"), {"Q": q, "K": k, "V": v}, {"M0": 8}, intermediates=True)

logits = np.einsum("bhep,bhem->bhmp", q, k)
weights = np.exp(logits - logits.max(axis=2, keepdims=True))
expected = np.einsum("bhmp,bhfm->bhfp", weights / weights.sum(axis=2, keepdims=True), v)

print("attention-1pass equals softmax attention:", np.allclose(tensors["AV"], expected, rtol=0, atol=1e-12))
print("an iterative tensor is kept as its whole history:", tensors["RM"].shape, "for 4 chunks and the initial value")
print("its last step is the maximum of all logits:", np.allclose(tensors["RM"][:, :, -1], logits.max(axis=2)))
