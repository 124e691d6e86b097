"""Both neighbours of the sidecar, to run without either: Meta's Cloud API and the PHP backend."""
