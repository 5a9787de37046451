"""How far the numbers of equal trainings may differ, by rounding alone."""

KL_ROUNDING = 4e-6
"""The spacing of fp32 between 32 and 64 nats: the KL is a mean of differences of such summed log-probs, near 0 here."""
