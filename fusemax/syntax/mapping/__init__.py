"""The text of a mapping -> `Mapping`."""

from fusemax.syntax.load import load_mapping as load_mapping
from fusemax.syntax.mapping.parser import parse_mapping as parse_mapping
