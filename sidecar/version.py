"""Which version of the sidecar this is."""

from importlib.metadata import version

VERSION = version("whatsapp-sidecar")
