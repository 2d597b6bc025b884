"""Workload files: YAML -> `Workload`."""

from __future__ import annotations

from fusemax.errors import FusemaxError, Source, did_you_mean, in_order
from fusemax.ir.workload import Layer, Workload
from fusemax.moved import moved_name
from fusemax.syntax.yaml.nodes import Node, Scalar, Sequence_, read_yaml
from fusemax.syntax.yaml.schema import SchemaReader, text_value


def parse_workload(text: str, name: str = "<workload>") -> Workload:
    """Parse the text of a workload file; `name` is its name in errors."""
    reader = _Reader()
    workload = reader.workload(read_yaml(Source(name, text)))
    if reader.problems:
        raise FusemaxError(in_order(reader.problems))
    return workload


class _Reader(SchemaReader):
    """Reads the nodes of a workload file."""

    def workload(self, node: Node) -> Workload:
        """The whole file."""
        keys = self.keys(node, "a workload", ("name", "title", "source", "sequence", "shapes"), ("dense",))
        shapes = {
            rank: self.integer(size, f"the size of '{rank}'") for rank, size in self.entries(keys.get("shapes"), "rank")
        }
        return Workload(
            self.value(keys, "name", text_value, ""),
            self.value(keys, "title", text_value, ""),
            self.value(keys, "source", text_value, ""),
            self.sequence(keys.get("sequence"), shapes),
            shapes,
            *self.linear(keys.get("dense"), shapes),
        )

    def linear(self, node: Node | None, shapes: dict[str, int]) -> tuple[str | None, tuple[Layer, ...]]:
        """The linear layers and their mapping."""
        if node is None:
            return None, ()
        keys = self.keys(node, "`dense`", ("mapping", "layers"))
        layers = tuple(
            Layer(
                name, tuple((rank, self.ranks(factors, rank, shapes)) for rank, factors in self.entries(sizes, "rank"))
            )
            for name, sizes in self.entries(keys.get("layers"), "layer")
        )
        return self.value(keys, "mapping", text_value, None), layers

    def ranks(self, node: Node, rank: str, shapes: dict[str, int]) -> tuple[str, ...]:
        """Ranks of the model whose sizes multiply to the size of a rank of a layer."""
        if not isinstance(node, Sequence_):
            self.refuse(f"the size of '{rank}' is not a list of ranks", node.span, f"write `{rank}: [B, P]`")
            return ()
        return self.names(node, shapes, f"'{rank}' is a multiple of")

    def names(self, node: Sequence_, shapes: dict[str, int], what: str) -> tuple[str, ...]:
        """The items of a list of ranks, each of which must have a shape."""
        for item in node.items:
            if not isinstance(item, Scalar):
                self.refuse("this is not the name of a rank", item.span, "write names alone, as in `[B, P]`")
            elif item.value not in shapes:
                hint = did_you_mean(item.value, shapes) or "give it one"
                self.refuse(f"{what} '{item.value}', which has no shape", item.span, hint)
        return tuple(item.value for item in node.items if isinstance(item, Scalar))

    def sequence(self, node: Node | None, shapes: dict[str, int]) -> tuple[str, ...]:
        """The ranks that grow with the sequence."""
        if node is None:
            return ()
        if not isinstance(node, Sequence_):
            self.refuse("`sequence` is not a list", node.span, "write `sequence: [M, P]`")
            return ()
        return self.names(node, shapes, "`sequence` names")


def __getattr__(name: str) -> object:
    return moved_name(__name__, name)
