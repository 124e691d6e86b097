"""Who does a vendor's work: seeing it, and moving it between PHP and the sidecar."""
