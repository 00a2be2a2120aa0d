"""Pretrained baselines: networks that start from weights which were trained elsewhere."""
