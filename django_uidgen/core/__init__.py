"""The generator itself, in pure Python: no Django, no settings, no database."""
