"""Two hosts in network namespaces of their own, one of which dies or is cut off."""
