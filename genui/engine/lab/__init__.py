"""The Lab: five families on points in the plane, small enough that a training step is a step.

A training is a trace. Its state is all that is trained after k steps, so back, forward, fork,
seek and replay are those of every other trace; what is random in step k comes from (seed, k).
"""
