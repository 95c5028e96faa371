"""How a task is trained. Importing the package loads nothing heavy; its modules load torch."""
