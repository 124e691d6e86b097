"""What ``sidecar init`` asks, tries, fills in and writes."""
