"""Hyper-parameters: declared once, validated in one place, read from presets and flags."""
