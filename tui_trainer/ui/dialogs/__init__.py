"""Dialogs: what asks, warns or picks, above a screen."""
