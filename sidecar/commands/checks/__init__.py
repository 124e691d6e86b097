"""What ``sidecar check`` looks at, one subject in each module."""
