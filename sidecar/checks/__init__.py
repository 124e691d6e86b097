"""What ``sidecar check`` looks at. Functions that judge return lines, and ask nobody."""
