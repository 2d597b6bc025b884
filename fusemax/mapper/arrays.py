"""The arrays of the mapper: one element a candidate, or, in a batch, one row a combination and one column a candidate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Truths = NDArray[np.bool_]
