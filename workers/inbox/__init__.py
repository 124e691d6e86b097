"""The inbox on its way to PHP: read, split, coalesce, deliver, commit."""
