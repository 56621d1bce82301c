"""REST endpoints, for projects that have Django REST framework. Nothing imports it."""
