"""The fault tests: what breaks a training run, done to it on purpose. See docs/reliability.md."""
