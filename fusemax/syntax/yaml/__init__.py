"""YAML files -> architectures, workloads and studies, with a position for every error."""
