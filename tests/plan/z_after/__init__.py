"""An app with a data migration."""
