"""The confidence table: calibrators, measures and threshold families on the same logits."""
