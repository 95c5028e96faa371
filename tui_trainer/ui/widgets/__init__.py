"""Widgets: what a screen is made of. They own view state only."""
