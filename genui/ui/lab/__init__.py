"""The Lab: small networks that learn points in the plane, watched a training step at a time."""
