"""The pass counts that FuseMax publishes (Nayak et al., MICRO 2024): properties of cascades, hence exact."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusemax import check, load_cascade
from fusemax.analysis.passes import all_passes

FOLDER = Path(__file__).parents[2] / "cascades"

# Section III, Cascades 1 to 3: the same value in two passes, in one by algebra, and in one by iteration.
# Section IV: what is known of attention, by the number of passes over M, the rank of the keys and values.
#   3 passes: Cascade 4; PyTorch, TensorFlow, FLAT, E.T.
#   2 passes: a local maximum and sum for each chunk; TileFlow, Choi et al.
#   1 pass:   Cascade 5; FlashAttention, FlashAttention-2, Rabe and Staats
PUBLISHED = [
    ("section III, Cascade 1", "cascade-1", "K", 2),
    ("section III, Cascade 2", "cascade-2", "K", 1),
    ("section III, Cascade 3", "cascade-3", "I", 1),
    ("section IV, Cascade 4", "attention-3pass", "M", 3),
    ("section IV, the 2-pass class", "attention-2pass", "M", 2),
    ("section IV, Cascade 5", "attention-1pass", "M", 1),
]


@pytest.mark.parametrize(("where", "name", "rank", "passes"), PUBLISHED)
def test_passes(where: str, name: str, rank: str, passes: int) -> None:
    """The analyzer finds the number of passes that the paper gives, and the file cites the place."""
    path = FOLDER / f"{name}.cascade"
    found = {of_group.group.name: of_group.passes for of_group in all_passes(check(load_cascade(path)))}
    assert found[rank] == passes, where
    assert where in path.read_text(encoding="utf-8").replace("\n# ", " ")


def test_what_the_3pass_attention_keeps() -> None:
    """Section III, Cascade 4: QK, and then SN, are needed whole for the next pass; no other tensor is visited twice."""
    checked = check(load_cascade(FOLDER / "attention-3pass.cascade"))
    (of_keys,) = (of_group for of_group in all_passes(checked) if of_group.group.name == "M")
    assert {name for name, visits in of_keys.per_tensor.items() if visits > 1} == {"QK", "SN"}
    assert of_keys.live == {1: ("QK",), 2: ("SN",)}
