"""The state of sending that the sidecar and the workers share: numbers, pauses, halts."""
