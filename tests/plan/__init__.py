"""Apps whose data migrations run before and after the one of the worker table."""
