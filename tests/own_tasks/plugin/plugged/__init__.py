"""A package that brings a task along."""
