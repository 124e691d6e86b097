"""Every boundary of the sidecar, in one place. Imports nothing else of this project."""
