"""Every shipped cascade computes what its own plain NumPy line says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fusemax import execute, load_cascade

Array = NDArray[np.float64]

FOLDER = Path(__file__).parents[1] / "cascades"
TOLERANCE = 1e-9

# All different and mostly primes, so that no rank can be taken for another; M0 divides M, J divides H.
SIZES = {"B": 2, "D": 13, "E": 5, "F": 7, "H": 6, "I": 17, "J": 3, "K": 19, "LKV": 4}
SIZES |= {"M": 15, "N": 9, "P": 11, "S": 23, "T": 8, "V": 29}
CHUNK = {"M0": 5}
WINDOW = 4


# The NumPy lines. Each takes the inputs in the order in which `Case` lists them.


def contract(subscripts: str, *arrays: Array) -> Array:
    """`np.einsum` in float64."""
    return np.asarray(np.einsum(subscripts, *arrays), dtype=np.float64)


def softmax(x: Array, axis: int) -> Array:
    """Softmax along an axis, safe against overflow."""
    e = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(e / e.sum(axis, keepdims=True), dtype=np.float64)


def logits(q: Array, k: Array) -> Array:
    """transpose(K) Q, with the axes b, h, m, p."""
    return contract("bhep,bhem->bhmp", q, k)


def weigh(a: Array, v: Array) -> Array:
    """The values, summed with the weights a[b, h, m, p]."""
    return contract("bhmp,bhfm->bhfp", a, v)


def attention(q: Array, k: Array, v: Array) -> Array:
    """softmax(transpose(K) Q) V"""
    return weigh(softmax(logits(q, k), 2), v)


def attention_window(q: Array, k: Array, v: Array, window: float = math.inf) -> Array:
    """Attention in which query p sees the keys p - window < m <= p."""
    m, p = np.ogrid[: k.shape[-1], : q.shape[-1]]
    return weigh(softmax(np.where((p - window < m) & (m <= p), logits(q, k), -np.inf), 2), v)


def attention_gqa(q: Array, k: Array, v: Array) -> Array:
    """Attention in which neighbouring query heads share a key and value head."""
    group = q.shape[1] // k.shape[1]
    return attention(q, k.repeat(group, 1), v.repeat(group, 1))


def attention_sink(q: Array, k: Array, v: Array, sink: Array) -> Array:
    """Attention with one more key per head, of logit `sink` and value zero."""
    qk = logits(q, k)
    column = np.broadcast_to(sink[None, :, None, None], (*qk.shape[:2], 1, qk.shape[3]))
    return weigh(softmax(np.concatenate([qk, column], 2), 2)[:, :, :-1], v)


def attention_softcap(q: Array, k: Array, v: Array) -> Array:
    """Attention with its logits between -50 and 50."""
    return weigh(softmax(50 * np.tanh(logits(q, k) / 50), 2), v)


def attention_sigmoid(q: Array, k: Array, v: Array) -> Array:
    """Attention with a sigmoid, shifted by -log(M), for the softmax."""
    return weigh(1 / (1 + k.shape[-1] * np.exp(-logits(q, k))), v)


def attention_mla(q: Array, ckv: Array, wuk: Array, wuv: Array) -> Array:
    """Attention on keys and values that are projected up from the latent cache (so nothing is absorbed)."""
    return attention(q, contract("bpl,hel->bhep", ckv, wuk), contract("bpl,hfl->bhfp", ckv, wuv))


def linear_attention(q: Array, k: Array, v: Array, causal: bool = False) -> Array:
    """Attention with the weights phi(K) phi(Q), phi = elu + 1, normalised."""
    a = logits(*(np.where(x > 0, x + 1, np.exp(x)) for x in (q, k)))
    a = np.triu(a) if causal else a
    return weigh(a / a.sum(2, keepdims=True), v)


def rmsnorm(x: Array, gamma: Array) -> Array:
    """RMSNorm along the last axis."""
    return np.asarray(x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * gamma, dtype=np.float64)


def layernorm(x: Array, gamma: Array, beta: Array) -> Array:
    """LayerNorm along the last axis."""
    return np.asarray(
        (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * gamma + beta, dtype=np.float64
    )


def cross_entropy(x: Array, y: Array) -> Array:
    """Minus the log of the target's softmax."""
    return np.asarray(-np.log(softmax(x, 1)[np.arange(len(y)), y.astype(int)]), dtype=np.float64)


def ffn(x: Array, w1: Array, w2: Array) -> Array:
    """Feed-forward network with the exact GELU, x times the normal distribution function."""
    u = x @ w1
    return np.asarray(u * (1 + np.vectorize(math.erf)(u / math.sqrt(2))) / 2 @ w2, dtype=np.float64)


def ffn_gated(x: Array, wu: Array, wg: Array, wd: Array) -> Array:
    """Feed-forward network with a SiLU gate."""
    g = x @ wg
    return np.asarray(g / (1 + np.exp(-g)) * (x @ wu) @ wd, dtype=np.float64)


def rmsnorm_ffn(x: Array, gamma: Array, wu: Array, wg: Array, wd: Array) -> Array:
    """RMSNorm and gated feed-forward network beside a residual."""
    return x + ffn_gated(rmsnorm(x, gamma), wu, wg, wd)


def encoder_layer(x: Array, wq: Array, wk: Array, wv: Array, wo: Array, w1: Array, w2: Array, *norms: Array) -> Array:
    """One encoder layer, LayerNorm after each residual; `norms` are gamma1, beta1, gamma2, beta2."""
    q, k, v = (contract("bpd,hed->bhep", x, w) for w in (wq, wk, wv))
    av = attention(q / math.sqrt(q.shape[2]), k, v)
    y = layernorm(x + contract("bhfp,hfd->bpd", av, wo), *norms[:2])
    return layernorm(y + ffn(y, w1, w2), *norms[2:])


def weighted_sum(a: Array, b: Array) -> Array:
    """The result of FuseMax's Cascades 1 to 3: the dot product of a and b, times the sum of a."""
    return np.asarray(a @ b * a.sum(), dtype=np.float64)


@dataclass(frozen=True)
class Case:
    """A NumPy line, the ranks of its inputs, its output, and the shapes that no input has.

    `N -> V` stands for an input over N that holds coordinates of V.
    """

    line: Callable[..., Array]
    inputs: Mapping[str, str]
    output: str
    shapes: Mapping[str, int] = field(default_factory=dict)


QKV = {"Q": "B H E P", "K": "B H E M", "V": "B H F M"}
QKV_T = {"Q": "B H E T", "K": "B H E T", "V": "B H F T"}
SHARED_KV = {"Q": "B H E P", "K": "B J E M", "V": "B J F M"}
LATENT = {"Q": "B H E M", "CKV": "B P LKV", "WUK": "H E LKV", "WUV": "H F LKV"}
GATED = {"WU": "D S", "WG": "D S", "WD": "S D"}
FFN = {"W1": "D S", "W2": "S D"}
PROJECTIONS = {"WQ": "H E D", "WK": "H E D", "WV": "H F D", "WO": "H F D"}
NORMS = {"GAMMA1": "D", "BETA1": "D", "GAMMA2": "D", "BETA2": "D"}
X: dict[str, str] = {"X": "B P D"}

ZOO = {
    "matmul": Case(lambda a, b: a.T @ b, {"A": "K M", "B": "K N"}, "Z"),
    "softmax-naive": Case(partial(softmax, axis=0), {"X": "M P"}, "A"),
    "softmax-stable": Case(partial(softmax, axis=0), {"X": "M P"}, "A"),
    "attention": Case(attention, QKV, "AV"),
    "attention-3pass": Case(attention, QKV, "AV"),
    "attention-3pass-deferred": Case(attention, QKV, "AV"),
    "attention-2pass": Case(attention, QKV, "AV", CHUNK),
    "attention-2pass-deferred": Case(attention, QKV, "AV", CHUNK),
    "attention-splitk": Case(attention, QKV, "AV", CHUNK),
    "attention-1pass": Case(attention, QKV, "AV", CHUNK),
    "attention-unstable": Case(attention, QKV, "AV"),
    "attention-causal": Case(attention_window, QKV, "AV"),
    "attention-causal-1pass": Case(attention_window, QKV, "AV", CHUNK),
    "attention-window": Case(partial(attention_window, window=WINDOW), QKV, "AV", {"W": WINDOW}),
    "attention-window-2pass": Case(partial(attention_window, window=WINDOW), QKV, "AV", CHUNK | {"W": WINDOW}),
    "attention-gqa": Case(attention_gqa, SHARED_KV, "AV"),
    "attention-sink": Case(attention_sink, QKV | {"SINK": "H"}, "AV"),
    "attention-softcap": Case(attention_softcap, QKV, "AV"),
    "attention-sigmoid": Case(attention_sigmoid, QKV, "AV"),
    "attention-mla": Case(attention_mla, LATENT, "AV"),
    "linear-attention": Case(linear_attention, QKV, "AV"),
    "linear-attention-causal": Case(partial(linear_attention, causal=True), QKV_T, "AV"),
    "rmsnorm": Case(rmsnorm, X | {"GAMMA": "D"}, "Y"),
    "layernorm": Case(layernorm, X | {"GAMMA": "D", "BETA": "D"}, "Y"),
    "layernorm-moments": Case(layernorm, X | {"GAMMA": "D", "BETA": "D"}, "Y"),
    "cross-entropy": Case(cross_entropy, {"X": "N V", "Y": "N -> V"}, "L"),
    "ffn": Case(ffn, X | FFN, "Y"),
    "ffn-gated": Case(ffn_gated, X | GATED, "Y"),
    "rmsnorm-ffn": Case(rmsnorm_ffn, X | {"GAMMA": "D"} | GATED, "Y"),
    "encoder-layer": Case(encoder_layer, X | PROJECTIONS | FFN | NORMS, "Y"),
    "cascade-1": Case(weighted_sum, {"A": "K", "B": "K"}, "Z"),
    "cascade-2": Case(weighted_sum, {"A": "K", "B": "K"}, "Z"),
    "cascade-3": Case(weighted_sum, {"A": "I", "B": "I"}, "Z"),
}

FILES = sorted(path.stem for path in FOLDER.glob("*.cascade"))
EQUIVALENT = sorted(name for name, case in ZOO.items() if case.line is attention)


def draw(ranks: str, rng: np.random.Generator) -> Array:
    """A random input over ranks such as `B H E P`; for `N -> V`, coordinates of V."""
    domain, _, target = ranks.partition("->")
    size = [SIZES[rank] for rank in domain.split()]
    return rng.integers(SIZES[target.strip()], size=size).astype(np.float64) if target else rng.standard_normal(size)


def run(name: str, inputs: Mapping[str, Array]) -> Array:
    """The output of a shipped cascade, which must be its only one."""
    outputs = execute(load_cascade(FOLDER / f"{name}.cascade"), inputs, ZOO[name].shapes)
    assert list(outputs) == [ZOO[name].output]
    return np.asarray(outputs[ZOO[name].output], dtype=np.float64)


def assert_close(actual: Array, expected: Array) -> None:
    """Same shape, and nowhere further apart than the tolerance (NaN is far from everything)."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= TOLERANCE


def test_every_file_has_a_numpy_line() -> None:
    """A cascade cannot be shipped without its line here, nor a line stay behind without its cascade."""
    assert sorted(ZOO) == FILES


@pytest.mark.parametrize("name", FILES)
def test_equals_its_numpy_line(name: str) -> None:
    """The interpreter's result for a file is that of its NumPy line, to 1e-9."""
    case = ZOO[name]
    rng = np.random.default_rng(20241103)
    inputs = {tensor: draw(ranks, rng) for tensor, ranks in case.inputs.items()}
    assert_close(run(name, inputs), case.line(*inputs.values()))


@pytest.mark.parametrize("name", EQUIVALENT)
def test_equals_attention(name: str) -> None:
    """The attention files that differ only in how they compute agree with `attention`, on other data than above."""
    rng = np.random.default_rng(5)
    inputs = {tensor: draw(ranks, rng) for tensor, ranks in QKV.items()}
    assert_close(run(name, inputs), run("attention", inputs))


@pytest.mark.parametrize("name", FILES)
def test_header(name: str) -> None:
    """A file opens with a comment that gives its source, and its cascade has the name of the file."""
    comment, _, rest = (FOLDER / f"{name}.cascade").read_text(encoding="utf-8").partition("\n\n")
    assert all(line.startswith("# ") for line in comment.splitlines())
    assert "\n# Source: " in comment
    assert rest.startswith(f"cascade {name}\n")
