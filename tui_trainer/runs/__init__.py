"""The record of a run: a folder that is written by one process and read by any number of others.

Imports neither torch nor textual, and numpy only where an array is handed out.
"""
