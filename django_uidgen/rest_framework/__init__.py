"""For projects that have Django REST framework; no other module imports this package.

The modules here are a toolkit for a project's own API. ``endpoint`` is the API of the
package itself, which ``urls`` includes.
"""
