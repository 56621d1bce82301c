"""The command ``uidgen``."""
