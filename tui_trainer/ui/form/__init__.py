"""The form's model: a command line that is edited field by field, and who says what it means."""
