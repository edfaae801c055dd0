"""Tiny random checkpoints and the logits that the reference implementations compute from them."""
